#include "engine/text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/error.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {
constexpr int kMaxDepth = 200;

void check_depth(int depth) {
  LM_CHECK(depth < kMaxDepth, ErrorCode::bad_option,
           "chat template: a value nested more than {} deep", kMaxDepth);
}
}  // namespace

const Value* Dict::find(std::string_view key) const {
  if (items_.size() <= 8) {
    for (const auto& [k, v] : items_) {
      if (k == key) return &v;
    }
    return nullptr;
  }
  const auto it = index_.find(std::string(key));
  return it == index_.end() ? nullptr : &items_[it->second].second;
}

void Dict::set(std::string_view key, Value value) {
  const auto [it, added] = index_.try_emplace(std::string(key), items_.size());
  if (added) {
    items_.emplace_back(key, std::move(value));
  } else {
    items_[it->second].second = std::move(value);
  }
}

void Dict::clear() {
  // Swapped out first: destroying a value may reach this dictionary again.
  std::vector<std::pair<std::string, Value>> items;
  items.swap(items_);
  index_.clear();
}

namespace {

int16_t depth_above(int depth) {
  LM_CHECK(depth < kMaxValueDepth, ErrorCode::bad_option,
           "chat template: a value nested more than {} deep", kMaxValueDepth);
  return static_cast<int16_t>(depth + 1);
}

}  // namespace

Value::Value(List list) {
  int depth = 0;
  for (const Value& v : list) depth = std::max<int>(depth, v.depth_);
  depth_ = depth_above(depth);
  data_ = std::make_shared<const List>(std::move(list));
}

Value::Value(std::shared_ptr<Dict> dict) {
  int depth = 0;
  if (!dict->is_namespace) {
    for (const auto& [key, v] : dict->items()) depth = std::max<int>(depth, v.depth_);
    depth_ = depth_above(depth);
  }
  data_ = std::move(dict);
}

Value::Value(Function f, const Value* holds) {
  depth_ = depth_above(holds != nullptr ? holds->depth_ : 0);
  data_ = std::make_shared<const Function>(std::move(f));
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return boolean();
    case Kind::integer:
      return integer() != 0;
    case Kind::number:
      return number() != 0;
    case Kind::string:
      return !string().empty();
    case Kind::list:
      return !list().empty();
    case Kind::dict:
      return dict().is_namespace || dict().size() > 0;
    case Kind::function:
      return true;
  }
  return false;
}

Value Arguments::get(size_t position, std::string_view name) const {
  if (position < positional.size()) return positional[position];
  for (const auto& [key, value] : named) {
    if (key == name) return value;
  }
  return {};
}

const char* kind_name(Kind kind) {
  constexpr const char* kNames[] = {"undefined", "NoneType", "bool", "int",     "float",
                                    "str",       "list",     "dict", "function"};
  return kNames[static_cast<size_t>(kind)];
}

bool equal(const Value& a, const Value& b, int depth) {
  check_depth(depth);
  spend_work(1);
  if (a.is_numeric() && b.is_numeric()) {
    return a.is_integral() && b.is_integral() ? a.integer() == b.integer()
                                              : a.number() == b.number();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
      spend_work(std::min(a.string().size(), b.string().size()) / 16);
      return a.string() == b.string();
    case Kind::list:
      return std::equal(a.list().begin(), a.list().end(), b.list().begin(), b.list().end(),
                        [&](const Value& x, const Value& y) { return equal(x, y, depth + 1); });
    case Kind::dict:
      if (&a.dict() == &b.dict()) return true;
      if (a.dict().size() != b.dict().size()) return false;
      return std::all_of(a.dict().items().begin(), a.dict().items().end(), [&](const auto& item) {
        const Value* other = b.dict().find(item.first);
        return other != nullptr && equal(item.second, *other, depth + 1);
      });
    case Kind::function:
      return &a.function() == &b.function();
    default:
      return true;  // undefined, none
  }
}

int compare(const Value& a, const Value& b) {
  spend_work(4);
  if (a.is_numeric() && b.is_numeric()) {
    if (a.is_integral() && b.is_integral())
      return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
    return a.number() < b.number() ? -1 : a.number() > b.number() ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
    spend_work(std::min(a.string().size(), b.string().size()) / 16);
    const int c = a.string().compare(b.string());
    return c < 0 ? -1 : c > 0 ? 1 : 0;
  }
  if (a.is_list() && b.is_list()) {
    for (size_t i = 0; i < a.list().size() && i < b.list().size(); ++i) {
      // Elements one level down only: lists of lists are not worth a recursion here.
      if (a.list()[i].is_list()) break;
      const int c = compare(a.list()[i], b.list()[i]);
      if (c != 0) return c;
    }
    return a.list().size() < b.list().size() ? -1 : a.list().size() > b.list().size() ? 1 : 0;
  }
  raise(ErrorCode::bad_option, "chat template: cannot order {} and {}", kind_name(a.kind()),
        kind_name(b.kind()));
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::fabs(value);
  // Python writes exponents below 1e-4 and from 1e16 on.
  const bool exponent = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer, end.ptr);
  if (!exponent && text.find('.') == text.npos) text += ".0";
  return text;
}

namespace {

void append_string_repr(std::string& out, const std::string& s) {
  spend_bytes(s.size() + 2);
  const char quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
  out += quote;
  for (const char c : s) {
    if (c == quote || c == '\\') {
      out += '\\', out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<uint8_t>(c) < 32 || c == 127) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    } else {
      out += c;
    }
  }
  out += quote;
}

}  // namespace

namespace {

// Appends, so that nested values are not copied once for every level.
void append_repr(std::string& out, const Value& v, int depth) {
  check_depth(depth);
  spend_bytes(8);
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ", ";
    first = false;
  };
  switch (v.kind()) {
    case Kind::undefined:
      out += "Undefined";
      break;
    case Kind::none:
      out += "None";
      break;
    case Kind::boolean:
      out += v.boolean() ? "True" : "False";
      break;
    case Kind::integer:
      out += std::to_string(v.integer());
      break;
    case Kind::number:
      out += float_text(v.number());
      break;
    case Kind::string:
      append_string_repr(out, v.string());
      break;
    case Kind::function:
      out += "<function>";
      break;
    case Kind::list:
      out += '[';
      for (const Value& x : v.list()) {
        separate();
        append_repr(out, x, depth + 1);
      }
      out += ']';
      break;
    case Kind::dict:
      out += '{';
      for (const auto& [k, x] : v.dict().items()) {
        separate();
        append_string_repr(out, k);
        out += ": ";
        append_repr(out, x, depth + 1);
      }
      out += '}';
      break;
  }
}

}  // namespace

std::string to_repr(const Value& v) {
  std::string out;
  append_repr(out, v, 0);
  return out;
}

std::string to_text(const Value& v) {
  if (v.is_undefined()) return {};
  return v.is_string() ? v.string() : to_repr(v);
}

}  // namespace lm::jinja
