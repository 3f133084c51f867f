#include "engine/text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/error.h"
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
  if (a.is_numeric() && b.is_numeric()) {
    return a.is_integral() && b.is_integral() ? a.integer() == b.integer()
                                              : a.number() == b.number();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::string:
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
  if (a.is_numeric() && b.is_numeric()) {
    if (a.is_integral() && b.is_integral())
      return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
    return a.number() < b.number() ? -1 : a.number() > b.number() ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
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

std::string string_repr(const std::string& s) {
  const char quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
  std::string out(1, quote);
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
  return out + quote;
}

}  // namespace

std::string to_repr(const Value& v, int depth) {
  check_depth(depth);
  switch (v.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "None";
    case Kind::boolean:
      return v.boolean() ? "True" : "False";
    case Kind::integer:
      return std::to_string(v.integer());
    case Kind::number:
      return float_text(v.number());
    case Kind::string:
      return string_repr(v.string());
    case Kind::function:
      return "<function>";
    case Kind::list: {
      std::string out = "[";
      for (const Value& x : v.list()) out += (out.size() > 1 ? ", " : "") + to_repr(x, depth + 1);
      return out + "]";
    }
    case Kind::dict: {
      std::string out = "{";
      for (const auto& [k, x] : v.dict().items()) {
        out += (out.size() > 1 ? ", " : "") + string_repr(k) + ": " + to_repr(x, depth + 1);
      }
      return out + "}";
    }
  }
  return {};
}

std::string to_text(const Value& v) {
  if (v.is_undefined()) return {};
  return v.is_string() ? v.string() : to_repr(v);
}

}  // namespace lm::jinja
