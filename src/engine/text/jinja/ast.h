// The syntax tree of a template. Built once by the parser, then read by any number of renderings.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/value.h"

namespace lm::jinja {

enum class ExprType : uint8_t {
  literal,    // value
  name,       // text
  attribute,  // a.text
  subscript,  // a[b]
  slice,      // a[b:c:d], each of b, c, d may be null
  call,       // a(arguments)
  filter,     // a | text(arguments); a is null inside a filter block
  test,       // a is text(arguments)
  unary,      // text a: - + not
  binary,     // a text b: arithmetic, ~ and or == ... in, not in
  condition,  // a if b else c (c may be null)
  list,       // [arguments.positional]
  dict,       // {arguments.positional: pairs of key, value}
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprType type;
  int line = 0;
  int depth = 1;  // longest path down: bounds the recursion of the interpreter
  std::string text;
  Value value;
  ExprPtr a, b, c, d;
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

enum class NodeType : uint8_t {
  text,          // text
  output,        // {{ expr }}
  branch,        // if/elif/else: branches; a null condition is else
  loop,          // for targets in expr if condition: body, else other
  set,           // set targets = expr
  set_block,     // set target (| filters in condition) : body
  macro,         // macro text(parameters): body
  call_block,    // call(parameters) expr: body
  filter_block,  // filter expr: body
  generation,    // body
  break_loop,
  continue_loop,
};

struct Node;
using Body = std::vector<std::unique_ptr<Node>>;

struct Branch {
  ExprPtr condition;
  Body body;
};

struct Node {
  NodeType type;
  int line = 0;
  std::string text;  // text, macro name
  ExprPtr expr, condition;
  std::vector<ExprPtr> targets;                             // names, or attributes of namespaces
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // with defaults or null
  std::vector<Branch> branches;
  Body body, other;
};

struct Template {
  Body body;
};

// Throws Error{unsupported} with the line.
std::shared_ptr<const Template> parse_template(std::string_view source);

}  // namespace lm::jinja
