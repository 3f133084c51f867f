// Renders a syntax tree. One interpreter per rendering; steps, nesting and output are limited, so
// that a hostile template ends with an error instead of hanging.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/limits.h"

namespace lm::jinja {

// Thrown by break and continue statements and caught by their loop.
enum class Flow : uint8_t { normal, break_loop, continue_loop };

class Interpreter {
 public:
  explicit Interpreter(std::optional<std::time_t> now) : now_(now) { scopes_.emplace_back(); }
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  void set_global(const std::string& name, Value value) { scopes_[0][name] = std::move(value); }
  std::string render(const Template& t);
  const std::vector<std::pair<size_t, size_t>>& generated() const { return generated_; }

  // For the built-in functions, filters and tests:
  [[noreturn]] void fail(const std::string& what) const;  // Error{bad_option} with the current line
  void charge(size_t bytes);  // counts produced bytes or elements against the limit
  Value call(const Value& callee, Arguments& arguments);
  Value apply_filter(const std::string& name, const Value& input, Arguments& arguments);
  bool apply_test(const std::string& name, const Value& input, Arguments& arguments);
  Value get_attribute(const Value& object, const std::string& name);
  Value get_item(const Value& object, const Value& index);
  // The elements that a loop visits; undefined has none. Throws for values without elements.
  List elements(const Value& value);
  Value make_namespace(Arguments& arguments);
  std::optional<std::time_t> now() const { return now_; }

 private:
  using Scope = std::unordered_map<std::string, Value>;
  struct Depth;

  Flow run_body(const Body& body, std::string& out);
  Flow run_node(const Node& node, std::string& out);
  Flow run_branch(const Node& node, std::string& out);
  Flow run_loop(const Node& node, std::string& out);
  void run_set(const Node& node);
  void run_set_block(const Node& node);
  void run_call_block(const Node& node, std::string& out);
  std::string run_captured(const Body& body);
  Value make_macro(const Node& node);
  Value call_macro(const Node& node, Arguments& arguments, size_t visible_from);
  void assign(const std::vector<ExprPtr>& targets, const Value& value);

  Value eval(const Expr& e);
  Value eval_inner(const Expr& e);
  Value eval_binary(const Expr& e);
  Value eval_arithmetic(const std::string& op, const Value& a, const Value& b);
  Value concatenate(const Value& a, const Value& b, bool escape);
  Value eval_add(const Value& a, const Value& b);
  Value eval_slice(const Expr& e);
  Value eval_call(const Expr& e);
  Arguments eval_arguments(const Expr& e);
  bool contains(const Value& container, const Value& item);
  Value lookup(const std::string& name);

  std::vector<Scope> scopes_;  // [0] globals and top-level variables
  size_t visible_from_ = 1;  // inside a macro, scopes of its caller below this are hidden (but [0])
  std::vector<std::shared_ptr<Dict>> namespaces_;
  std::vector<std::pair<size_t, size_t>> generated_;
  std::optional<std::time_t> now_;
  const std::string* root_out_ = nullptr;
  int line_ = 0, depth_ = 0;
  size_t steps_ = 0;
  Limits limits_{&line_};
};

// Tables of the language's functions. Add one: a row in the file of its kind.
const Function* find_global(std::string_view name);  // builtins.cpp
using FilterFunction = Value (*)(Interpreter&, const Value& input, Arguments&);
FilterFunction find_filter(std::string_view name);  // filters.cpp
using TestFunction = bool (*)(Interpreter&, const Value& input, Arguments&);
TestFunction find_test(std::string_view name);  // tests.cpp
using MethodFunction = Value (*)(Interpreter&, const Value& object, Arguments&);
MethodFunction find_method(Kind kind, std::string_view name);  // methods.cpp

// Python's characters of a UTF-8 string: positions of their first bytes, and the size at the end.
std::vector<size_t> char_positions(std::string_view s);

}  // namespace lm::jinja
