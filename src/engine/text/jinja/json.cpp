// JSON to and from template values.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/value.h"

namespace lm::jinja {

namespace {

constexpr int kMaxDepth = 200;

void append_json_string(std::string& out, std::string_view s) {
  out += '"';
  for (const char c : s) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<uint8_t>(c) < 32) {
          out += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

struct Writer {
  int indent;
  bool sort_keys;
  std::string_view item_separator, key_separator;
  std::string out;

  void line_break(int depth) {
    if (indent >= 0)
      out.append("\n").append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
  }
  // The members between brackets, with separators and line breaks.
  template <typename Items, typename Write>
  void members(const Items& items, char open, char close, int depth, Write&& write) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += item_separator;
      first = false;
      line_break(depth + 1);
      write(item);
    }
    if (!first) line_break(depth);
    out += close;
  }
  void write(const Value& v, int depth) {
    LM_CHECK(depth < kMaxDepth, ErrorCode::bad_option,
             "chat template: tojson of a value nested more than {} deep", kMaxDepth);
    LM_CHECK(out.size() < (size_t{64} << 20), ErrorCode::bad_option,
             "chat template: tojson of more than 64 MiB");
    spend_bytes(v.is_string() ? v.string().size() : 8);
    switch (v.kind()) {
      case Kind::none:
        out += "null";
        break;
      case Kind::boolean:
        out += v.boolean() ? "true" : "false";
        break;
      case Kind::integer:
        out += std::to_string(v.integer());
        break;
      case Kind::number:
        out += std::isnan(v.number())   ? "NaN"
               : std::isinf(v.number()) ? (v.number() < 0 ? "-Infinity" : "Infinity")
                                        : float_text(v.number());
        break;
      case Kind::string:
        append_json_string(out, v.string());
        break;
      case Kind::list:
        members(v.list(), '[', ']', depth, [&](const Value& x) { write(x, depth + 1); });
        break;
      case Kind::dict: {
        auto items = v.dict().items();
        if (sort_keys) {
          std::stable_sort(items.begin(), items.end(),
                           [](const auto& a, const auto& b) { return a.first < b.first; });
        }
        members(items, '{', '}', depth, [&](const auto& item) {
          append_json_string(out, item.first);
          out += key_separator;
          write(item.second, depth + 1);
        });
        break;
      }
      default:
        raise(ErrorCode::bad_option, "chat template: tojson of {}; expected a value",
              kind_name(v.kind()));
    }
  }
};

Value convert(const nlohmann::ordered_json& j) {
  switch (j.type()) {
    case nlohmann::json::value_t::null:
      return nullptr;
    case nlohmann::json::value_t::boolean:
      return j.get<bool>();
    case nlohmann::json::value_t::number_integer:
      return j.get<int64_t>();
    case nlohmann::json::value_t::number_unsigned:
      if (j.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return j.get<double>();
      return j.get<int64_t>();
    case nlohmann::json::value_t::number_float:
      return j.get<double>();
    case nlohmann::json::value_t::string:
      return j.get<std::string>();
    case nlohmann::json::value_t::array: {
      List list;
      list.reserve(j.size());
      for (const auto& x : j) list.push_back(convert(x));
      return list;
    }
    case nlohmann::json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, x] : j.items()) dict->set(key, convert(x));
      return dict;
    }
    default:
      return {};
  }
}

}  // namespace

std::string to_json(const Value& value, int indent, bool sort_keys, std::string_view item_separator,
                    std::string_view key_separator) {
  if (item_separator.empty()) item_separator = indent >= 0 ? "," : ", ";
  Writer writer{std::min(indent, 64), sort_keys, item_separator, key_separator, {}};
  writer.write(value, 0);
  return std::move(writer.out);
}

Value from_json(std::string_view text, const char* what) {
  // Depth is bounded while parsing: convert() and the destructors of values recurse.
  bool deep = false;
  const auto watch = [&](int d, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
    if (d > kMaxDepth) deep = true;
    return !deep;
  };
  const auto j = nlohmann::ordered_json::parse(text, watch, false);
  LM_CHECK(!deep, ErrorCode::bad_option, "chat template: {} is nested more than {} deep", what,
           kMaxDepth);
  LM_CHECK(!j.is_discarded(), ErrorCode::bad_option, "chat template: {} is not JSON", what);
  return convert(j);
}

}  // namespace lm::jinja
