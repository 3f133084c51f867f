// Values of the template language: Python's, as far as templates see them. Cheap to copy;
// containers are shared and, but for namespaces, never change once made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace lm::jinja {

class Value;
class Interpreter;
struct Arguments;

using List = std::vector<Value>;

class Dict;
using Function = std::function<Value(Interpreter&, Arguments&)>;

enum class Kind : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  number,
  string,
  list,
  dict,
  function
};

// Undefined remembers the name that was not there, for messages.
struct Undefined {
  std::string name;
};

class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) : data_(nullptr) {}
  Value(bool b) : data_(b) {}
  Value(int64_t i) : data_(i) {}
  Value(double d) : data_(d) {}
  Value(std::string s) : data_(std::make_shared<const std::string>(std::move(s))) {}
  Value(std::string_view s) : Value(std::string(s)) {}
  Value(const char* s) : Value(std::string(s)) {}
  Value(List list);                   // throws Error{bad_option} for lists nested too deep
  Value(std::shared_ptr<Dict> dict);  // as lists
  // holds: a value that the function keeps alive, for the depth.
  Value(Function f, const Value* holds = nullptr);
  static Value undefined(std::string name) {
    Value v;
    v.data_ = Undefined{std::move(name)};
    return v;
  }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind k) const { return kind() == k; }
  bool is_undefined() const { return is(Kind::undefined); }
  bool is_none() const { return is(Kind::none); }
  bool is_string() const { return is(Kind::string); }
  bool is_list() const { return is(Kind::list); }
  bool is_dict() const { return is(Kind::dict); }
  // bool counts as an integer, as in Python
  bool is_integral() const { return is(Kind::integer) || is(Kind::boolean); }
  bool is_numeric() const { return is_integral() || is(Kind::number); }

  // Each needs the right kind.
  bool boolean() const { return std::get<bool>(data_); }
  int64_t integer() const {
    return is(Kind::boolean) ? (boolean() ? 1 : 0) : std::get<int64_t>(data_);
  }
  double number() const {
    return is(Kind::number) ? std::get<double>(data_) : static_cast<double>(integer());
  }
  const std::string& string() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const List& list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  Dict& dict() const { return *std::get<std::shared_ptr<Dict>>(data_); }
  const Function& function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
  const std::string& undefined_name() const { return std::get<Undefined>(data_).name; }

  bool truthy() const;

  // A string that went through "safe" (jinja2's Markup): adding plain text to it escapes that text
  // for HTML.
  bool is_markup() const { return markup_; }
  static Value markup(std::string s) {
    Value v(std::move(s));
    v.markup_ = true;
    return v;
  }

 private:
  std::variant<Undefined, std::nullptr_t, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const List>, std::shared_ptr<Dict>, std::shared_ptr<const Function>>
      data_;
  bool markup_ = false;
  // Lists, dictionaries and functions inside each other: the destructor recurses. Namespaces count
  // as flat; the interpreter empties them.
  int16_t depth_ = 0;
};

// A dictionary with string keys in order of insertion.
class Dict {
 public:
  const Value* find(std::string_view key) const;
  void set(std::string_view key, Value value);
  const std::vector<std::pair<std::string, Value>>& items() const { return items_; }
  size_t size() const { return items_.size(); }
  void clear();
  bool is_namespace = false;  // `set ns.x = ...` may change it

 private:
  std::vector<std::pair<std::string, Value>> items_;
  std::unordered_map<std::string, size_t> index_;
};

// Arguments of a call.
struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at a position or by name; undefined when absent.
  Value get(size_t position, std::string_view name) const;
};

const char* kind_name(Kind kind);  // Python's type name: "str", "int" ...
bool equal(const Value& a, const Value& b, int depth = 0);
// -1, 0 or 1; throws Error{bad_option} when the kinds have no order.
int compare(const Value& a, const Value& b);
// str(value) and repr(value) of Python.
std::string to_text(const Value& value);
std::string to_repr(const Value& value);
// json.dumps(value, ensure_ascii=False, indent=..., sort_keys=...); indent < 0: one line.
// Throws Error{bad_option} for undefined values, functions and values nested more than 200 deep.
std::string to_json(const Value& value, int indent = -1, bool sort_keys = false,
                    std::string_view item_separator = {}, std::string_view key_separator = ": ");
// Parses JSON text. Throws Error{bad_option} naming `what`.
Value from_json(std::string_view text, const char* what);
// A float as Python prints it.
std::string float_text(double value);

}  // namespace lm::jinja
