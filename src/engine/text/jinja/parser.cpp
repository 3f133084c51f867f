// Statements of chat templates.
#include "engine/text/jinja/parser.h"

namespace lm::jinja {

std::unique_ptr<Node> Parser::node(NodeType type) const {
  auto n = std::make_unique<Node>();
  n->type = type;
  n->line = peek().line;
  return n;
}

Body Parser::parse_body(std::initializer_list<const char*> ends) {
  const Nesting nesting(*this);
  Body body;
  while (true) {
    const Token& t = peek();
    if (t.type == TokenType::end) {
      if (ends.size() > 0)
        fail(fmt::format("the end of the template; expected \"{}\"", *(ends.end() - 1)));
      return body;
    }
    if (t.type == TokenType::text) {
      auto n = node(NodeType::text);
      n->text = next().text;
      body.push_back(std::move(n));
    } else if (t.type == TokenType::variable_begin) {
      next();
      auto n = node(NodeType::output);
      n->expr = parse_tuple();
      expect(TokenType::variable_end, "\"}}\"");
      body.push_back(std::move(n));
    } else {
      next();  // block_begin: the lexer lets nothing else come here
      for (const char* end : ends) {
        if (is_name(end)) return body;
      }
      body.push_back(parse_statement());
    }
  }
}

void Parser::end_block() {
  expect(TokenType::block_end, "\"%}\"");
}

Body Parser::parse_block(const char* end) {
  end_block();
  Body body = parse_body({end});
  next();
  end_block();
  return body;
}

std::unique_ptr<Node> Parser::parse_statement() {
  const std::string name = take_name("a statement");
  if (name == "if") return parse_if();
  if (name == "for") return parse_for();
  if (name == "set") return parse_set();
  if (name == "macro") return parse_macro();
  if (name == "call") return parse_call();
  if (name == "filter") {
    auto n = node(NodeType::filter_block);
    n->expr = parse_filter(nullptr);
    while (accept_op("|")) n->expr = parse_filter(std::move(n->expr));
    n->body = parse_block("endfilter");
    return n;
  }
  if (name == "generation") {
    auto n = node(NodeType::generation);
    n->body = parse_block("endgeneration");
    return n;
  }
  if (name == "break" || name == "continue") {
    auto n = node(name == "break" ? NodeType::break_loop : NodeType::continue_loop);
    if (loops_ == 0) fail(fmt::format("\"{}\" outside of a loop", name));
    end_block();
    return n;
  }
  fail(
      fmt::format("statement \"{}\"; expected if, for, set, macro, call, filter, generation, "
                  "break or continue",
                  name));
}

std::unique_ptr<Node> Parser::parse_if() {
  auto n = node(NodeType::branch);
  while (true) {
    Branch branch;
    branch.condition = parse_tuple();
    end_block();
    branch.body = parse_body({"elif", "else", "endif"});
    n->branches.push_back(std::move(branch));
    if (!accept_name("elif")) break;
  }
  if (accept_name("else")) {
    end_block();
    n->branches.push_back({nullptr, parse_body({"endif"})});
  }
  expect_name("endif");
  end_block();
  return n;
}

std::vector<ExprPtr> Parser::parse_targets() {
  std::vector<ExprPtr> targets;
  const bool parens = accept_op("(");
  do {
    if (parens && is_op(")")) break;
    ExprPtr target = make(ExprType::name, take_name("a variable"));
    if (accept_op(".")) {
      ExprPtr attribute = make(ExprType::attribute, take_name("an attribute"));
      attribute->a = std::move(target);
      target = std::move(attribute);
    }
    targets.push_back(std::move(target));
  } while (accept_op(","));
  if (parens) expect_op(")");
  return targets;
}

std::unique_ptr<Node> Parser::parse_for() {
  auto n = node(NodeType::loop);
  n->targets = parse_targets();
  expect_name("in");
  n->expr = parse_tuple(false);
  if (accept_name("if")) n->condition = parse_expression();
  if (is_name("recursive")) fail("recursive loops are not supported");
  end_block();
  ++loops_;
  n->body = parse_body({"else", "endfor"});
  --loops_;
  if (accept_name("else")) {
    end_block();
    n->other = parse_body({"endfor"});
  }
  expect_name("endfor");
  end_block();
  return n;
}

std::unique_ptr<Node> Parser::parse_set() {
  auto n = node(NodeType::set);
  n->targets = parse_targets();
  if (accept_op("=")) {
    n->expr = parse_tuple();
    end_block();
    return n;
  }
  if (n->targets.size() != 1) fail("a block set of several variables; expected one");
  n->type = NodeType::set_block;
  while (accept_op("|")) n->condition = parse_filter(std::move(n->condition));
  n->body = parse_block("endset");
  return n;
}

void Parser::parse_parameters(Node& n) {
  expect_op("(");
  while (!is_op(")")) {
    std::string name = take_name("a parameter");
    ExprPtr fallback;
    if (accept_op("=")) fallback = parse_expression();
    n.parameters.emplace_back(std::move(name), std::move(fallback));
    if (!accept_op(",")) break;
  }
  expect_op(")");
}

Body Parser::parse_function_body(const char* end) {
  const int loops = std::exchange(loops_, 0);
  Body body = parse_block(end);
  loops_ = loops;
  return body;
}

std::unique_ptr<Node> Parser::parse_macro() {
  auto n = node(NodeType::macro);
  n->text = take_name("a macro's name");
  parse_parameters(*n);
  n->body = parse_function_body("endmacro");
  return n;
}

std::unique_ptr<Node> Parser::parse_call() {
  auto n = node(NodeType::call_block);
  if (is_op("(")) parse_parameters(*n);
  n->expr = parse_unary(false);
  if (n->expr->type != ExprType::call) fail("call; expected a call of a macro");
  n->body = parse_function_body("endcall");
  return n;
}

std::shared_ptr<const Template> parse_template(std::string_view source) {
  return Parser(source).run();
}

}  // namespace lm::jinja
