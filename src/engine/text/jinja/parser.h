// The parser of chat templates: tokens to syntax tree. Grammar and precedence: jinja2 parser.py.
// Its members are in parser.cpp (statements) and parse_expression.cpp.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"

namespace lm::jinja {

// Limits against hostile templates.
inline constexpr int kMaxNesting = 100;    // of brackets, unary operators and blocks while parsing
inline constexpr int kMaxExprDepth = 300;  // of a finished expression, long chains of + included

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
  ExprPtr make(ExprType type, std::string text = {}) const;
  // Sets the depth from the children; every finished inner node passes through here.
  ExprPtr seal(ExprPtr e) const;
  ExprPtr binary(std::string op, ExprPtr a, ExprPtr b) const;
  ExprPtr unary(std::string op, ExprPtr a) const;

  ExprPtr parse_expression();
  // One expression, or several with commas between them, which make a list.
  ExprPtr parse_tuple(bool conditional = true);
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filters);

  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_number();

  ExprPtr parse_postfix(ExprPtr e);
  ExprPtr parse_call_of(ExprPtr callee);
  ExprPtr parse_subscript(ExprPtr object);
  void parse_arguments(Expr& call);
  ExprPtr parse_filters(ExprPtr e);
  ExprPtr parse_filter(ExprPtr object);
  ExprPtr parse_test(ExprPtr object);

  // --- statements ---
  std::unique_ptr<Node> node(NodeType type) const;
  // Up to one of the `ends` tags (not consumed beyond its name) or, without ends, to the end of the
  // template.
  Body parse_body(std::initializer_list<const char*> ends);
  void end_block();
  Body parse_block(const char* end);

  std::unique_ptr<Node> parse_statement();
  std::unique_ptr<Node> parse_if();
  std::vector<ExprPtr> parse_targets();
  std::unique_ptr<Node> parse_for();
  std::unique_ptr<Node> parse_set();
  void parse_parameters(Node& n);
  // A loop around a macro is not the macro's: break cannot leave it.
  Body parse_function_body(const char* end);
  std::unique_ptr<Node> parse_macro();
  std::unique_ptr<Node> parse_call();

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
};

}  // namespace lm::jinja
