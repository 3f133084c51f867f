// Expressions of chat templates, by recursive descent: one function for each level of precedence.
#include <charconv>

#include "engine/text/jinja/parser.h"

namespace lm::jinja {

ExprPtr Parser::make(ExprType type, std::string text) const {
  auto e = std::make_unique<Expr>();
  e->type = type;
  e->line = peek().line;
  e->text = std::move(text);
  return e;
}

ExprPtr Parser::seal(ExprPtr e) const {
  int depth = 0;
  const auto look = [&](const ExprPtr& child) {
    if (child) depth = std::max(depth, child->depth);
  };
  look(e->a), look(e->b), look(e->c), look(e->d);
  for (const ExprPtr& p : e->positional) look(p);
  for (const auto& [name, p] : e->named) look(p);
  e->depth = depth + 1;
  if (e->depth > kMaxExprDepth)
    fail(fmt::format("an expression nested more than {} deep", kMaxExprDepth));
  return e;
}

ExprPtr Parser::binary(std::string op, ExprPtr a, ExprPtr b) const {
  ExprPtr e = make(ExprType::binary, std::move(op));
  e->a = std::move(a);
  e->b = std::move(b);
  return seal(std::move(e));
}

ExprPtr Parser::unary(std::string op, ExprPtr a) const {
  ExprPtr e = make(ExprType::unary, std::move(op));
  e->a = std::move(a);
  return seal(std::move(e));
}

ExprPtr Parser::parse_expression() {
  const Nesting nesting(*this);
  ExprPtr e = parse_or();
  while (accept_name("if")) {
    ExprPtr choice = make(ExprType::condition);
    choice->a = std::move(e);
    choice->b = parse_or();
    if (accept_name("else")) choice->c = parse_expression();
    e = seal(std::move(choice));
  }
  return e;
}

ExprPtr Parser::parse_tuple(bool conditional) {
  const auto one = [&] { return conditional ? parse_expression() : parse_or(); };
  ExprPtr e = one();
  if (!is_op(",")) return e;
  ExprPtr list = make(ExprType::list);
  list->positional.push_back(std::move(e));
  while (accept_op(",")) {
    if (peek().type == TokenType::block_end || peek().type == TokenType::variable_end || is_op(")"))
      break;
    list->positional.push_back(one());
  }
  return seal(std::move(list));
}

ExprPtr Parser::parse_or() {
  ExprPtr e = parse_and();
  while (accept_name("or")) e = binary("or", std::move(e), parse_and());
  return e;
}

ExprPtr Parser::parse_and() {
  ExprPtr e = parse_not();
  while (accept_name("and")) e = binary("and", std::move(e), parse_not());
  return e;
}

ExprPtr Parser::parse_not() {
  const Nesting nesting(*this);
  if (accept_name("not")) return unary("not", parse_not());
  return parse_compare();
}

ExprPtr Parser::parse_compare() {
  ExprPtr e = parse_sum();
  ExprPtr chain;  // a < b < c is (a < b) and (b < c); b is parsed once, so only one comparison is
                  // supported
  while (true) {
    std::string op;
    if (peek().type == TokenType::op) {
      for (const char* known : {"==", "!=", "<=", ">=", "<", ">"}) {
        if (is_op(known)) op = known;
      }
    } else if (is_name("in")) {
      op = "in";
    } else if (is_name("not") && peek(1).type == TokenType::name && peek(1).text == "in") {
      next();
      op = "not in";
    }
    if (op.empty()) return e;
    next();
    if (chain) fail("a chain of comparisons; expected one comparison");
    e = binary(op, std::move(e), parse_sum());
    if (op != "in" && op != "not in") chain = make(ExprType::literal);
  }
}

ExprPtr Parser::parse_sum() {
  ExprPtr e = parse_concat();
  while (is_op("+") || is_op("-")) {
    std::string op = next().text;
    e = binary(std::move(op), std::move(e), parse_concat());
  }
  return e;
}

ExprPtr Parser::parse_concat() {
  ExprPtr e = parse_product();
  while (accept_op("~")) e = binary("~", std::move(e), parse_product());
  return e;
}

ExprPtr Parser::parse_product() {
  ExprPtr e = parse_power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    std::string op = next().text;
    e = binary(std::move(op), std::move(e), parse_power());
  }
  return e;
}

ExprPtr Parser::parse_power() {
  ExprPtr e = parse_unary(true);
  while (accept_op("**")) e = binary("**", std::move(e), parse_unary(true));
  return e;
}

ExprPtr Parser::parse_unary(bool with_filters) {
  const Nesting nesting(*this);
  ExprPtr e;
  if (is_op("-") || is_op("+")) {
    std::string op = next().text;
    e = unary(std::move(op), parse_unary(false));
  } else {
    e = parse_primary();
  }
  e = parse_postfix(std::move(e));
  return with_filters ? parse_filters(std::move(e)) : std::move(e);
}

ExprPtr Parser::parse_primary() {
  const Token& t = peek();
  switch (t.type) {
    case TokenType::name:
      return parse_name();
    case TokenType::string: {
      ExprPtr e = make(ExprType::literal);
      std::string text;
      while (peek().type == TokenType::string) text += next().text;
      e->value = std::move(text);
      return e;
    }
    case TokenType::integer:
    case TokenType::number:
      return parse_number();
    default:
      break;
  }
  if (accept_op("(")) {
    if (accept_op(")")) return make(ExprType::list);
    ExprPtr e = parse_tuple();
    expect_op(")");
    return e;
  }
  if (accept_op("[")) {
    ExprPtr e = make(ExprType::list);
    while (!is_op("]")) {
      e->positional.push_back(parse_expression());
      if (!accept_op(",")) break;
    }
    expect_op("]");
    return seal(std::move(e));
  }
  if (accept_op("{")) {
    ExprPtr e = make(ExprType::dict);
    while (!is_op("}")) {
      e->positional.push_back(parse_expression());
      expect_op(":");
      e->positional.push_back(parse_expression());
      if (!accept_op(",")) break;
    }
    expect_op("}");
    return seal(std::move(e));
  }
  fail(fmt::format("{}; expected an expression", here()));
}

ExprPtr Parser::parse_name() {
  ExprPtr e = make(ExprType::literal);
  const std::string name = next().text;
  if (name == "true" || name == "True") {
    e->value = true;
  } else if (name == "false" || name == "False") {
    e->value = false;
  } else if (name == "none" || name == "None") {
    e->value = nullptr;
  } else {
    e->type = ExprType::name;
    e->text = name;
  }
  return e;
}

ExprPtr Parser::parse_number() {
  ExprPtr e = make(ExprType::literal);
  const Token& t = next();
  const char* first = t.text.data();
  const char* last = first + t.text.size();
  if (t.type == TokenType::integer) {
    int64_t value = 0;
    if (std::from_chars(first, last, value).ec != std::errc{})
      fail("the number " + t.text + " is too large");
    e->value = value;
  } else {
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc{})
      fail("the number " + t.text + " is out of range");
    e->value = value;
  }
  return e;
}

ExprPtr Parser::parse_postfix(ExprPtr e) {
  while (true) {
    if (accept_op(".")) {
      ExprPtr get;
      if (peek().type == TokenType::integer) {
        get = make(ExprType::subscript);
        get->b = parse_number();
      } else {
        get = make(ExprType::attribute, take_name("an attribute"));
      }
      get->a = std::move(e);
      e = seal(std::move(get));
    } else if (accept_op("[")) {
      e = parse_subscript(std::move(e));
    } else if (is_op("(")) {
      e = parse_call_of(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::parse_call_of(ExprPtr callee) {
  ExprPtr call = make(ExprType::call);
  call->a = std::move(callee);
  parse_arguments(*call);
  return seal(std::move(call));
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  ExprPtr e = make(ExprType::subscript);
  e->a = std::move(object);
  const auto part = [&]() -> ExprPtr {
    return is_op(":") || is_op("]") ? nullptr : parse_expression();
  };
  e->b = part();
  if (accept_op(":")) {
    e->type = ExprType::slice;
    e->c = part();
    if (accept_op(":")) e->d = part();
  } else if (!e->b) {
    fail("\"]\"; expected an index");
  }
  expect_op("]");
  return seal(std::move(e));
}

void Parser::parse_arguments(Expr& call) {
  expect_op("(");
  while (!is_op(")")) {
    if (is_op("*") || is_op("**")) fail("unpacked arguments (*) are not supported");
    if (peek().type == TokenType::name && peek(1).type == TokenType::op && peek(1).text == "=") {
      std::string name = next().text;
      next();
      call.named.emplace_back(std::move(name), parse_expression());
    } else {
      if (!call.named.empty()) fail("an argument without a name after one with a name");
      call.positional.push_back(parse_expression());
    }
    if (!accept_op(",")) break;
  }
  expect_op(")");
}

ExprPtr Parser::parse_filters(ExprPtr e) {
  while (true) {
    if (accept_op("|")) {
      e = parse_filter(std::move(e));
    } else if (accept_name("is")) {
      e = parse_test(std::move(e));
    } else if (is_op("(")) {
      e = parse_call_of(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::parse_filter(ExprPtr object) {
  ExprPtr e = make(ExprType::filter, take_name("a filter"));
  e->a = std::move(object);
  if (is_op("(")) parse_arguments(*e);
  return seal(std::move(e));
}

ExprPtr Parser::parse_test(ExprPtr object) {
  const bool negated = accept_name("not");
  ExprPtr e = make(ExprType::test, take_name("a test"));
  e->a = std::move(object);
  const Token& t = peek();
  const bool ends = t.type == TokenType::name &&
                    (t.text == "else" || t.text == "or" || t.text == "and" || t.text == "is" ||
                     t.text == "if" || t.text == "not" || t.text == "in");
  if (is_op("(")) {
    parse_arguments(*e);
  } else if ((t.type == TokenType::name && !ends) || t.type == TokenType::string ||
             t.type == TokenType::integer || t.type == TokenType::number || is_op("[") ||
             is_op("{")) {
    e->positional.push_back(parse_postfix(parse_primary()));
  }
  e = seal(std::move(e));
  return negated ? unary("not", std::move(e)) : std::move(e);
}

}  // namespace lm::jinja
