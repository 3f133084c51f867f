// Tokens -> syntax tree. Grammar and precedence: jinja2 parser.py.
#include <algorithm>
#include <charconv>

#include "engine/core/error.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"

namespace lm::jinja {

namespace {

constexpr int kMaxNesting = 100;    // of brackets, unary operators and blocks while parsing
constexpr int kMaxExprDepth = 300;  // of a finished expression, long chains of + included

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  std::shared_ptr<const Template> run() {
    auto result = std::make_shared<Template>();
    result->body = parse_body({});
    return result;
  }

 private:
  // --- tokens ---
  const Token& peek(size_t n = 0) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& t = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return t;
  }
  [[noreturn]] void fail(const std::string& what) const {
    raise(ErrorCode::unsupported, "chat template line {}: {}", peek().line, what);
  }
  std::string here() const {
    switch (peek().type) {
      case TokenType::end:
        return "the end of the template";
      case TokenType::block_end:
        return "\"%}\"";
      case TokenType::variable_end:
        return "\"}}\"";
      default:
        return "\"" + peek().text + "\"";
    }
  }
  bool is_op(std::string_view op) const {
    return peek().type == TokenType::op && peek().text == op;
  }
  bool is_name(std::string_view name) const {
    return peek().type == TokenType::name && peek().text == name;
  }
  bool accept_op(std::string_view op) {
    if (!is_op(op)) return false;
    next();
    return true;
  }
  bool accept_name(std::string_view name) {
    if (!is_name(name)) return false;
    next();
    return true;
  }
  void expect_op(const char* op) {
    if (!accept_op(op)) fail(fmt::format("{}; expected \"{}\"", here(), op));
  }
  void expect_name(const char* name) {
    if (!accept_name(name)) fail(fmt::format("{}; expected \"{}\"", here(), name));
  }
  void expect(TokenType type, const char* what) {
    if (peek().type != type) fail(fmt::format("{}; expected {}", here(), what));
    next();
  }
  std::string take_name(const char* what) {
    if (peek().type != TokenType::name) fail(fmt::format("{}; expected {}", here(), what));
    return next().text;
  }

  struct Nesting {
    explicit Nesting(Parser& parser) : p(parser) {
      if (++p.nesting_ > kMaxNesting) p.fail(fmt::format("nested more than {} deep", kMaxNesting));
    }
    ~Nesting() { --p.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    Parser& p;
  };

  // --- expressions ---
  ExprPtr make(ExprType type, std::string text = {}) const {
    auto e = std::make_unique<Expr>();
    e->type = type;
    e->line = peek().line;
    e->text = std::move(text);
    return e;
  }
  // Sets the depth from the children; every finished inner node passes through here.
  ExprPtr seal(ExprPtr e) const {
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
  ExprPtr binary(std::string op, ExprPtr a, ExprPtr b) const {
    ExprPtr e = make(ExprType::binary, std::move(op));
    e->a = std::move(a);
    e->b = std::move(b);
    return seal(std::move(e));
  }
  ExprPtr unary(std::string op, ExprPtr a) const {
    ExprPtr e = make(ExprType::unary, std::move(op));
    e->a = std::move(a);
    return seal(std::move(e));
  }

  ExprPtr parse_expression() {
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
  // One expression, or several with commas between them, which make a list.
  ExprPtr parse_tuple(bool conditional = true) {
    const auto one = [&] { return conditional ? parse_expression() : parse_or(); };
    ExprPtr e = one();
    if (!is_op(",")) return e;
    ExprPtr list = make(ExprType::list);
    list->positional.push_back(std::move(e));
    while (accept_op(",")) {
      if (peek().type == TokenType::block_end || peek().type == TokenType::variable_end ||
          is_op(")"))
        break;
      list->positional.push_back(one());
    }
    return seal(std::move(list));
  }
  ExprPtr parse_or() {
    ExprPtr e = parse_and();
    while (accept_name("or")) e = binary("or", std::move(e), parse_and());
    return e;
  }
  ExprPtr parse_and() {
    ExprPtr e = parse_not();
    while (accept_name("and")) e = binary("and", std::move(e), parse_not());
    return e;
  }
  ExprPtr parse_not() {
    const Nesting nesting(*this);
    if (accept_name("not")) return unary("not", parse_not());
    return parse_compare();
  }
  ExprPtr parse_compare() {
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
  ExprPtr parse_sum() {
    ExprPtr e = parse_concat();
    while (is_op("+") || is_op("-")) {
      std::string op = next().text;
      e = binary(std::move(op), std::move(e), parse_concat());
    }
    return e;
  }
  ExprPtr parse_concat() {
    ExprPtr e = parse_product();
    while (accept_op("~")) e = binary("~", std::move(e), parse_product());
    return e;
  }
  ExprPtr parse_product() {
    ExprPtr e = parse_power();
    while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
      std::string op = next().text;
      e = binary(std::move(op), std::move(e), parse_power());
    }
    return e;
  }
  ExprPtr parse_power() {
    ExprPtr e = parse_unary(true);
    while (accept_op("**")) e = binary("**", std::move(e), parse_unary(true));
    return e;
  }
  ExprPtr parse_unary(bool with_filters) {
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

  ExprPtr parse_primary() {
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
  ExprPtr parse_name() {
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
  ExprPtr parse_number() {
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

  ExprPtr parse_postfix(ExprPtr e) {
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
        ExprPtr call = make(ExprType::call);
        call->a = std::move(e);
        parse_arguments(*call);
        e = seal(std::move(call));
      } else {
        return e;
      }
    }
  }
  ExprPtr parse_subscript(ExprPtr object) {
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
  void parse_arguments(Expr& call) {
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
  ExprPtr parse_filters(ExprPtr e) {
    while (true) {
      if (accept_op("|")) {
        e = parse_filter(std::move(e));
      } else if (accept_name("is")) {
        e = parse_test(std::move(e));
      } else if (is_op("(")) {
        ExprPtr call = make(ExprType::call);
        call->a = std::move(e);
        parse_arguments(*call);
        e = seal(std::move(call));
      } else {
        return e;
      }
    }
  }
  ExprPtr parse_filter(ExprPtr object) {
    ExprPtr e = make(ExprType::filter, take_name("a filter"));
    e->a = std::move(object);
    if (is_op("(")) parse_arguments(*e);
    return seal(std::move(e));
  }
  ExprPtr parse_test(ExprPtr object) {
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

  // --- statements ---
  std::unique_ptr<Node> node(NodeType type) const {
    auto n = std::make_unique<Node>();
    n->type = type;
    n->line = peek().line;
    return n;
  }
  // Up to one of the `ends` tags (not consumed beyond its name) or, without ends, to the end of the
  // template.
  Body parse_body(std::initializer_list<const char*> ends) {
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
  void end_block() { expect(TokenType::block_end, "\"%}\""); }
  Body parse_block(const char* end) {
    end_block();
    Body body = parse_body({end});
    next();
    end_block();
    return body;
  }

  std::unique_ptr<Node> parse_statement() {
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
  std::unique_ptr<Node> parse_if() {
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
  std::vector<ExprPtr> parse_targets() {
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
  std::unique_ptr<Node> parse_for() {
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
  std::unique_ptr<Node> parse_set() {
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
  void parse_parameters(Node& n) {
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
  // A loop around a macro is not the macro's: break cannot leave it.
  Body parse_function_body(const char* end) {
    const int loops = std::exchange(loops_, 0);
    Body body = parse_block(end);
    loops_ = loops;
    return body;
  }
  std::unique_ptr<Node> parse_macro() {
    auto n = node(NodeType::macro);
    n->text = take_name("a macro's name");
    parse_parameters(*n);
    n->body = parse_function_body("endmacro");
    return n;
  }
  std::unique_ptr<Node> parse_call() {
    auto n = node(NodeType::call_block);
    if (is_op("(")) parse_parameters(*n);
    n->expr = parse_unary(false);
    if (n->expr->type != ExprType::call) fail("call; expected a call of a macro");
    n->body = parse_function_body("endcall");
    return n;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
};

}  // namespace

std::shared_ptr<const Template> parse_template(std::string_view source) {
  return Parser(source).run();
}

}  // namespace lm::jinja
