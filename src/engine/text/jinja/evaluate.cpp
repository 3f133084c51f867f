// The expressions of the interpreter.
#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/strings.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

constexpr int kMaxDepth = 600;

// What going once through a value costs.
size_t work_of(const Value& v) {
  return 1 + (v.is_string() ? v.string().size() / 4 : v.is_list() ? v.list().size() : 0);
}

}  // namespace

std::vector<size_t> char_positions(std::string_view s) {
  spend_work(s.size());
  std::vector<size_t> at;
  at.reserve(s.size() + 1);
  for (size_t i = 0; i < s.size(); i += decode_utf8(s, i).size) at.push_back(i);
  at.push_back(s.size());
  return at;
}

Value Interpreter::eval(const Expr& e) {
  if (++steps_ > 20'000'000) fail("more than 20000000 steps");
  if (e.type == ExprType::literal) return e.value;
  if (++depth_ > kMaxDepth) {
    --depth_;
    fail(fmt::format("nested more than {} deep", kMaxDepth));
  }
  line_ = e.line;
  // Not a guard object: an error ends the rendering, so the depth need not be right afterwards.
  Value v = eval_inner(e);
  --depth_;
  return v;
}

Value Interpreter::eval_inner(const Expr& e) {
  switch (e.type) {
    case ExprType::literal:
      return e.value;
    case ExprType::name:
      return lookup(e.text);
    case ExprType::attribute:
      return get_attribute(eval(*e.a), e.text);
    case ExprType::subscript: {
      const Value object = eval(*e.a);
      return get_item(object, eval(*e.b));
    }
    case ExprType::slice:
      return eval_slice(e);
    case ExprType::call:
      return eval_call(e);
    case ExprType::filter: {
      const Value input = e.a ? eval(*e.a) : lookup("*filtered");
      Arguments arguments = eval_arguments(e);
      line_ = e.line;
      return apply_filter(e.text, input, arguments);
    }
    case ExprType::test: {
      const Value input = eval(*e.a);
      Arguments arguments = eval_arguments(e);
      line_ = e.line;
      return apply_test(e.text, input, arguments);
    }
    case ExprType::unary: {
      const Value a = eval(*e.a);
      if (e.text == "not") return !a.truthy();
      if (!a.is_numeric()) fail(fmt::format("\"{}\" of {}", e.text, kind_name(a.kind())));
      if (e.text == "+") return a;
      if (a.is_integral()) return eval_arithmetic("-", Value(int64_t{0}), a);
      return -a.number();
    }
    case ExprType::binary:
      return eval_binary(e);
    case ExprType::condition:
      if (eval(*e.b).truthy()) return eval(*e.a);
      return e.c ? eval(*e.c) : Value{};
    case ExprType::list: {
      List list;
      list.reserve(e.positional.size());
      charge(e.positional.size() * sizeof(Value));
      for (const ExprPtr& x : e.positional) list.push_back(eval(*x));
      return list;
    }
    case ExprType::dict: {
      auto dict = std::make_shared<Dict>();
      charge(e.positional.size() * sizeof(Value));
      for (size_t i = 0; i + 1 < e.positional.size(); i += 2) {
        const Value key = eval(*e.positional[i]);
        dict->set(to_text(key), eval(*e.positional[i + 1]));
      }
      return dict;
    }
  }
  return {};
}

Arguments Interpreter::eval_arguments(const Expr& e) {
  Arguments arguments;
  arguments.positional.reserve(e.positional.size());
  for (const ExprPtr& x : e.positional) arguments.positional.push_back(eval(*x));
  for (const auto& [name, x] : e.named) arguments.named.emplace_back(name, eval(*x));
  return arguments;
}

Value Interpreter::eval_call(const Expr& e) {
  // A method is found on the object itself, so that a call costs no bound function.
  if (e.a->type == ExprType::attribute) {
    const Value object = eval(*e.a->a);
    const Value* own = object.is_dict() ? object.dict().find(e.a->text) : nullptr;
    if (MethodFunction method = find_method(object.kind(), e.a->text);
        method != nullptr && !(own != nullptr && own->is(Kind::function))) {
      Arguments arguments = eval_arguments(e);
      line_ = e.line;
      spend_work(work_of(object));
      return method(*this, object, arguments);
    }
    const Value callee = get_attribute(object, e.a->text);
    if (callee.is_undefined()) {
      fail(fmt::format("{} has no method \"{}\"",
                       object.is_undefined() ? "'" + object.undefined_name() + "' is undefined; it"
                                             : kind_name(object.kind()),
                       e.a->text));
    }
    Arguments arguments = eval_arguments(e);
    line_ = e.line;
    return call(callee, arguments);
  }
  const Value callee = eval(*e.a);
  Arguments arguments = eval_arguments(e);
  line_ = e.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) fail(fmt::format("'{}' is undefined", callee.undefined_name()));
  if (!callee.is(Kind::function)) fail(fmt::format("{} is not callable", kind_name(callee.kind())));
  return callee.function()(*this, arguments);
}

Value Interpreter::apply_filter(const std::string& name, const Value& input, Arguments& arguments) {
  const FilterFunction filter = find_filter(name);
  if (filter == nullptr) fail(fmt::format("no filter named \"{}\"", name));
  spend_work(work_of(input));
  return filter(*this, input, arguments);
}

bool Interpreter::apply_test(const std::string& name, const Value& input, Arguments& arguments) {
  const TestFunction test = find_test(name);
  if (test == nullptr) fail(fmt::format("no test named \"{}\"", name));
  spend_work(work_of(input));
  return test(*this, input, arguments);
}

Value Interpreter::get_attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) fail(fmt::format("'{}' is undefined", object.undefined_name()));
  if (object.is_dict()) {
    if (const Value* v = object.dict().find(name)) return *v;
  }
  if (MethodFunction method = find_method(object.kind(), name)) {
    return {Function([method, object](Interpreter& in, Arguments& arguments) {
              spend_work(work_of(object));
              return method(in, object, arguments);
            }),
            &object};
  }
  return Value::undefined(name);
}

Value Interpreter::get_item(const Value& object, const Value& index) {
  if (object.is_undefined()) fail(fmt::format("'{}' is undefined", object.undefined_name()));
  if (object.is_dict()) {
    const Value* v = object.dict().find(to_text(index));
    return v != nullptr ? *v : Value::undefined(to_text(index));
  }
  if (index.is_string()) return get_attribute(object, index.string());
  if (!index.is_integral() || !(object.is_list() || object.is_string()))
    return Value::undefined(to_text(index));
  const auto in_range = [&](size_t size) {
    const int64_t n = static_cast<int64_t>(size), i = index.integer();
    return i < 0 ? (i >= -n ? i + n : -1) : (i < n ? i : -1);
  };
  if (object.is_list()) {
    const int64_t i = in_range(object.list().size());
    return i < 0 ? Value::undefined(to_text(index)) : object.list()[static_cast<size_t>(i)];
  }
  const std::vector<size_t> at = char_positions(object.string());
  const int64_t i = in_range(at.size() - 1);
  if (i < 0) return Value::undefined(to_text(index));
  const auto u = static_cast<size_t>(i);
  return object.string().substr(at[u], at[u + 1] - at[u]);
}

Value Interpreter::eval_slice(const Expr& e) {
  const Value object = eval(*e.a);
  const auto bound = [&](const ExprPtr& x) -> std::optional<int64_t> {
    if (!x) return std::nullopt;
    const Value v = eval(*x);
    if (v.is_none()) return std::nullopt;
    if (!v.is_integral())
      fail(fmt::format("a slice bound is {}; expected an integer", kind_name(v.kind())));
    return v.integer();
  };
  const std::optional<int64_t> start = bound(e.b), stop = bound(e.c), step_given = bound(e.d);
  if (object.is_undefined()) fail(fmt::format("'{}' is undefined", object.undefined_name()));
  if (!object.is_list() && !object.is_string())
    fail(fmt::format("cannot slice {}", kind_name(object.kind())));
  const std::vector<size_t> at =
      object.is_string() ? char_positions(object.string()) : std::vector<size_t>{};
  const auto n = static_cast<int64_t>(object.is_string() ? at.size() - 1 : object.list().size());
  const int64_t step =
      std::clamp<int64_t>(step_given.value_or(1), -(int64_t{1} << 40), int64_t{1} << 40);
  if (step == 0) fail("a slice with step 0");
  // As Python's slice.indices.
  const auto place = [&](const std::optional<int64_t>& given, int64_t fallback) {
    if (!given) return fallback;
    const int64_t i = *given < 0 ? (*given < -n ? -1 : *given + n) : *given;
    if (*given < -n) return step > 0 ? int64_t{0} : int64_t{-1};
    return step > 0 ? std::min(i, n) : std::min(i, n - 1);
  };
  const int64_t first = place(start, step > 0 ? 0 : n - 1), last = place(stop, step > 0 ? n : -1);
  std::string text;
  List list;
  for (int64_t i = first; step > 0 ? i < last : i > last; i += step) {
    const auto u = static_cast<size_t>(i);
    if (object.is_string()) {
      text.append(object.string(), at[u], at[u + 1] - at[u]);
    } else {
      list.push_back(object.list()[u]);
    }
  }
  charge(text.size() + list.size() * sizeof(Value));
  return object.is_string() ? Value(std::move(text)) : Value(std::move(list));
}

Value Interpreter::eval_binary(const Expr& e) {
  const std::string& op = e.text;
  Value a = eval(*e.a);
  if (op == "and") return a.truthy() ? eval(*e.b) : a;
  if (op == "or") return a.truthy() ? a : eval(*e.b);
  const Value b = eval(*e.b);
  line_ = e.line;
  if (op == "==") return equal(a, b);
  if (op == "!=") return !equal(a, b);
  if (op == "in") return contains(b, a);
  if (op == "not in") return !contains(b, a);
  if (op == "~") return concatenate(a, b, false);
  for (const Value* v : {static_cast<const Value*>(&a), &b}) {
    if (v->is_undefined()) fail(fmt::format("'{}' is undefined", v->undefined_name()));
  }
  if (op[0] == '<' || op[0] == '>') {
    const bool ordered = (a.is_numeric() && b.is_numeric()) ||
                         (a.kind() == b.kind() && (a.is_string() || a.is_list()));
    if (!ordered)
      fail(fmt::format("\"{}\" between {} and {}", op, kind_name(a.kind()), kind_name(b.kind())));
    const int order = compare(a, b);
    if (op == "<") return order < 0;
    if (op == ">") return order > 0;
    return op == "<=" ? order <= 0 : order >= 0;
  }
  return op == "+" ? eval_add(a, b) : eval_arithmetic(op, a, b);
}

// "+" of Python escapes what it adds to Markup; "~" is jinja2's own and does not.
Value Interpreter::concatenate(const Value& a, const Value& b, bool escape) {
  const bool markup = escape && (a.is_markup() || b.is_markup());
  const auto text = [&](const Value& v) {
    return markup && !v.is_markup() ? escape_html(to_text(v)) : to_text(v);
  };
  std::string joined = text(a);
  joined += text(b);
  charge(joined.size());
  return markup ? Value::markup(std::move(joined)) : Value(std::move(joined));
}

Value Interpreter::eval_add(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return concatenate(a, b, true);
  if (a.is_list() && b.is_list()) {
    charge((a.list().size() + b.list().size()) * sizeof(Value));
    List list = a.list();
    list.insert(list.end(), b.list().begin(), b.list().end());
    return list;
  }
  return eval_arithmetic("+", a, b);
}

Value Interpreter::eval_arithmetic(const std::string& op, const Value& a, const Value& b) {
  if (op == "*" && ((a.is_string() && b.is_integral()) || (a.is_list() && b.is_integral()))) {
    const int64_t n = std::clamp<int64_t>(b.integer(), 0, int64_t{1} << 32);
    const size_t one = a.is_string() ? a.string().size() : a.list().size() * sizeof(Value);
    charge(one * static_cast<size_t>(one == 0 ? 0 : n));
    std::string text;
    List list;
    for (int64_t i = 0; i < n && one > 0; ++i) {
      if (a.is_string()) {
        text += a.string();
      } else {
        list.insert(list.end(), a.list().begin(), a.list().end());
      }
    }
    return a.is_string() ? Value(std::move(text)) : Value(std::move(list));
  }
  if (op == "%" && a.is_string()) {
    Arguments arguments;
    arguments.positional = b.is_list() ? b.list() : List{b};
    return apply_filter("format", a, arguments);
  }
  if (!a.is_numeric() || !b.is_numeric()) {
    fail(fmt::format("\"{}\" between {} and {}", op, kind_name(a.kind()), kind_name(b.kind())));
  }
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b.number() == 0) fail("division by zero");
  if (a.is_integral() && b.is_integral() && op != "/" && op != "**") {
    const int64_t x = a.integer(), y = b.integer();
    int64_t result = 0;
    bool too_big = false;
    if (op == "+") too_big = __builtin_add_overflow(x, y, &result);
    if (op == "-") too_big = __builtin_sub_overflow(x, y, &result);
    if (op == "*") too_big = __builtin_mul_overflow(x, y, &result);
    if (op == "//" && y == -1) too_big = __builtin_sub_overflow(int64_t{0}, x, &result);
    if (too_big) fail("an integer beyond 64 bits");
    if (!divides || y == -1) return result;
    const int64_t quotient = x / y, rest = x % y;
    const bool down = rest != 0 && (rest < 0) != (y < 0);
    return op == "//" ? quotient - (down ? 1 : 0) : rest + (down ? y : 0);
  }
  const double x = a.number(), y = b.number();
  if (op == "+") return x + y;
  if (op == "-") return x - y;
  if (op == "*") return x * y;
  if (op == "/") return x / y;
  if (op == "//") return std::floor(x / y);
  if (op == "%") return x - std::floor(x / y) * y;
  const double power = std::pow(x, y);
  const bool whole = a.is_integral() && b.is_integral() && y >= 0 && std::fabs(power) < 9e15;
  return whole ? Value(static_cast<int64_t>(power)) : Value(power);
}

bool Interpreter::contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::undefined:
      return false;
    case Kind::string:
      if (!item.is_string()) fail(fmt::format("\"in\" of {} in str", kind_name(item.kind())));
      spend_work(1 + container.string().size() / 8);
      return container.string().find(item.string()) != std::string::npos;
    case Kind::list:
      return std::any_of(container.list().begin(), container.list().end(),
                         [&](const Value& v) { return equal(v, item); });
    case Kind::dict:
      return container.dict().find(to_text(item)) != nullptr;
    default:
      fail(fmt::format("\"in\" {}; expected a str, list or dict", kind_name(container.kind())));
  }
}

List Interpreter::elements(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return {};
    case Kind::list:
      charge(value.list().size() * sizeof(Value));
      return value.list();
    case Kind::dict: {
      List keys;
      for (const auto& [key, v] : value.dict().items()) keys.emplace_back(key);
      charge(keys.size() * sizeof(Value));
      return keys;
    }
    case Kind::string: {
      List chars;
      const std::vector<size_t> at = char_positions(value.string());
      charge(at.size() * sizeof(Value));
      for (size_t i = 0; i + 1 < at.size(); ++i)
        chars.emplace_back(value.string().substr(at[i], at[i + 1] - at[i]));
      return chars;
    }
    default:
      fail(fmt::format("{} is not iterable", kind_name(value.kind())));
  }
}

}  // namespace lm::jinja
