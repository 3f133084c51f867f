// The filters of the template language (what may stand after "|").
#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/strings.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

Value charged(Interpreter& in, std::string text) {
  in.charge(text.size());
  return text;
}
Value charged(Interpreter& in, List list) {
  in.charge(list.size() * sizeof(Value));
  return list;
}

Value length(Interpreter& in, const Value& v, Arguments&) {
  switch (v.kind()) {
    case Kind::undefined:
      return int64_t{0};
    case Kind::string:
      return static_cast<int64_t>(char_positions(v.string()).size() - 1);
    case Kind::list:
      return static_cast<int64_t>(v.list().size());
    case Kind::dict:
      return static_cast<int64_t>(v.dict().size());
    default:
      in.fail(fmt::format("{} has no length", kind_name(v.kind())));
  }
}

Value tojson(Interpreter& in, const Value& v, Arguments& arguments) {
  if (v.is_undefined())
    in.fail(fmt::format("tojson of '{}', which is undefined", v.undefined_name()));
  const Value indent = arguments.get(1, "indent"), sort = arguments.get(3, "sort_keys");
  const Value separators = arguments.get(2, "separators");
  const Value by_position = arguments.positional.size() == 1 ? arguments.positional[0] : indent;
  const Value& chosen = indent.is_undefined() ? by_position : indent;
  std::string item = "", key = ": ";
  if (separators.is_list() && separators.list().size() == 2) {
    item = to_text(separators.list()[0]);
    key = to_text(separators.list()[1]);
  }
  return charged(in, to_json(v,
                             chosen.is(Kind::integer)
                                 ? static_cast<int>(std::clamp<int64_t>(chosen.integer(), 0, 64))
                                 : -1,
                             sort.truthy(), item, key));
}

Value fallback(Interpreter&, const Value& v, Arguments& arguments) {
  const bool use = v.is_undefined() || (arguments.get(1, "boolean").truthy() && !v.truthy());
  if (!use) return v;
  const Value given = arguments.get(0, "default_value");
  return given.is_undefined() ? Value("") : given;
}

Value join(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value separator = arguments.get(0, "d"), attribute = arguments.get(1, "attribute");
  std::string out;
  bool first = true;
  for (const Value& x : in.elements(v)) {
    if (!first) out += to_text(separator);
    first = false;
    out += to_text(attribute.is_undefined() ? x : in.get_item(x, attribute));
    if (out.size() > (size_t{64} << 20)) in.fail("join makes more than 64 MiB");
  }
  return charged(in, std::move(out));
}

Value trim(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value chars = arguments.get(0, "chars");
  return charged(
      in, strip_chars(to_text(v), chars.is_string() ? &chars.string() : nullptr, true, true));
}

Value replace(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value limit = arguments.get(2, "count");
  std::string out;
  const bool fits =
      replace_all(to_text(v), to_text(arguments.get(0, "old")), to_text(arguments.get(1, "new")),
                  limit.is_integral() ? limit.integer() : -1, size_t{64} << 20, &out);
  if (!fits) in.fail("replace makes more than 64 MiB");
  return charged(in, std::move(out));
}

// Lines after the first (and, with first=true, the first) get `width` spaces in front; blank lines
// only with blank=true.
Value indent(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value width = arguments.get(0, "width");
  if (width.is_integral() && (width.integer() < 0 || width.integer() > 1024))
    in.fail("indent by more than 1024");
  const std::string space =
      width.is_string()
          ? width.string()
          : std::string(width.is_integral() ? static_cast<size_t>(width.integer()) : 4, ' ');
  const bool first = arguments.get(1, "first").truthy(), blank = arguments.get(2, "blank").truthy();
  const std::string text = to_text(v);
  std::string out;
  for (size_t i = 0; i <= text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    if (i > 0) out += '\n';
    if ((i > 0 || first) && (end > i || blank)) out += space;
    out.append(text, i, end - i);
    if (out.size() > (size_t{64} << 20)) in.fail("indent makes more than 64 MiB");
    i = end + 1;
  }
  return charged(in, std::move(out));
}

// Keys in order, case-insensitive.
Value dictsort(Interpreter& in, const Value& v, Arguments& arguments) {
  if (!v.is_dict()) in.fail(fmt::format("dictsort of {}; expected a dict", kind_name(v.kind())));
  const bool case_sensitive = arguments.get(0, "case_sensitive").truthy(),
             reverse = arguments.get(2, "reverse").truthy();
  auto items = v.dict().items();
  const auto key = [&](const std::string& k) { return case_sensitive ? k : lowercase_unicode(k); };
  std::stable_sort(items.begin(), items.end(), [&](const auto& a, const auto& b) {
    return reverse ? key(b.first) < key(a.first) : key(a.first) < key(b.first);
  });
  List out;
  for (const auto& [k, x] : items) out.emplace_back(List{k, x});
  return charged(in, std::move(out));
}

// An attribute path: "function.name".
Value path_of(Interpreter& in, Value v, const Value& path) {
  if (!path.is_string()) return in.get_item(v, path);
  const List parts = split_text(path.string(), std::make_unique<std::string>(".").get(), -1, false);
  for (const Value& part : parts) {
    if (v.is_undefined()) return v;
    v = in.get_item(v, part);
  }
  return v;
}

Value map(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value attribute = arguments.get(SIZE_MAX, "attribute"),
              standby = arguments.get(SIZE_MAX, "default");
  List out;
  if (!v.truthy()) return out;  // none passes, as in jinja2
  for (const Value& x : in.elements(v)) {
    if (!attribute.is_undefined()) {
      const Value got = path_of(in, x, attribute);
      out.push_back(got.is_undefined() && !standby.is_undefined() ? standby : got);
    } else {
      if (arguments.positional.empty()) in.fail("map needs a filter or attribute=");
      Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()},
                     arguments.named};
      out.push_back(in.apply_filter(to_text(arguments.positional[0]), x, rest));
    }
  }
  return charged(in, std::move(out));
}

// select, reject (by test) and selectattr, rejectattr (by a test of an attribute).
template <bool by_attribute, bool keep>
Value choose(Interpreter& in, const Value& v, Arguments& arguments) {
  const size_t first = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty()) in.fail("selectattr needs an attribute");
  List out;
  if (!v.truthy()) return out;
  for (const Value& x : in.elements(v)) {
    const Value subject = by_attribute ? path_of(in, x, arguments.positional[0]) : x;
    bool passes = false;
    if (arguments.positional.size() > first) {
      Arguments rest{{arguments.positional.begin() + static_cast<ptrdiff_t>(first) + 1,
                      arguments.positional.end()},
                     arguments.named};
      passes = in.apply_test(to_text(arguments.positional[first]), subject, rest);
    } else {
      passes = subject.truthy();
    }
    if (passes == keep) out.push_back(x);
  }
  return charged(in, std::move(out));
}

Value unique(Interpreter& in, const Value& v, Arguments&) {
  List out;
  for (const Value& x : in.elements(v)) {
    in.charge(out.size());  // the search below is quadratic
    const bool seen = std::any_of(out.begin(), out.end(), [&](const Value& y) {
      return x.is_string() && y.is_string()
                 ? lowercase_unicode(x.string()) == lowercase_unicode(y.string())
                 : equal(x, y);
    });
    if (!seen) out.push_back(x);
  }
  return out;
}

Value sort(Interpreter& in, const Value& v, Arguments& arguments) {
  const bool reverse = arguments.get(0, "reverse").truthy(),
             case_sensitive = arguments.get(1, "case_sensitive").truthy();
  const Value attribute = arguments.get(2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  bool numbers = true, strings = true;
  for (const Value& x : in.elements(v)) {
    Value key = attribute.is_undefined() ? x : path_of(in, x, attribute);
    numbers = numbers && key.is_numeric();
    strings = strings && key.is_string();
    if (key.is_string() && !case_sensitive) key = lowercase_unicode(key.string());
    keyed.emplace_back(std::move(key), x);
  }
  if (!numbers && !strings) in.fail("sort needs all numbers or all strings");
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  List out;
  for (auto& [key, x] : keyed) out.push_back(std::move(x));
  return charged(in, std::move(out));
}

template <bool largest>
Value extreme(Interpreter& in, const Value& v, Arguments&) {
  const List all = in.elements(v);
  Value best;
  for (const Value& x : all) {
    if (best.is_undefined() || (largest ? compare(x, best) > 0 : compare(x, best) < 0)) best = x;
  }
  return best;
}

Value sum(Interpreter& in, const Value& v, Arguments& arguments) {
  const Value attribute = arguments.get(0, "attribute");
  double total = 0;
  bool whole = true;
  for (const Value& x : in.elements(v)) {
    const Value n = attribute.is_undefined() ? x : path_of(in, x, attribute);
    if (!n.is_numeric()) in.fail(fmt::format("sum of {}", kind_name(n.kind())));
    whole = whole && n.is_integral();
    total += n.number();
  }
  return whole && std::fabs(total) < 9e15 ? Value(static_cast<int64_t>(total)) : Value(total);
}

// A number out of a value, or the default.
template <typename T>
Value parse_number(const Value& v, const Value& standby, T zero) {
  if (v.is_numeric()) {
    if constexpr (std::is_same_v<T, double>) return v.number();
    if (v.is_integral()) return v.integer();
    return std::fabs(v.number()) < 9e18 ? Value(static_cast<int64_t>(v.number())) : standby;
  }
  if (v.is_string()) {
    const std::string text = strip_chars(v.string(), nullptr, true, true);
    double value = 0;
    const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
    const auto [end, error] = std::from_chars(first, text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size())
      return parse_number<T>(value, standby, zero);
  }
  return standby.is_undefined() ? Value(zero) : standby;
}

Value round_value(Interpreter& in, const Value& v, Arguments& arguments) {
  if (!v.is_numeric()) in.fail(fmt::format("round of {}", kind_name(v.kind())));
  const Value precision = arguments.get(0, "precision"), method = arguments.get(1, "method");
  const double scale =
      std::pow(10.0, precision.is_integral()
                         ? static_cast<double>(std::clamp<int64_t>(precision.integer(), -15, 15))
                         : 0);
  const double x = v.number() * scale;
  if (method.is_string() && method.string() == "ceil") return std::ceil(x) / scale;
  if (method.is_string() && method.string() == "floor") return std::floor(x) / scale;
  return std::nearbyint(x) / scale;
}

Value first(Interpreter& in, const Value& v, Arguments&) {
  const List all = in.elements(v);
  return all.empty() ? Value{} : all.front();
}
Value last(Interpreter& in, const Value& v, Arguments&) {
  const List all = in.elements(v);
  return all.empty() ? Value{} : all.back();
}

Value reverse(Interpreter& in, const Value& v, Arguments&) {
  List all = in.elements(v);
  std::reverse(all.begin(), all.end());
  if (!v.is_string()) return charged(in, std::move(all));
  std::string text;
  for (const Value& c : all) text += c.string();
  return charged(in, std::move(text));
}

Value items(Interpreter& in, const Value& v, Arguments&) {
  if (v.is_undefined()) return List{};
  if (!v.is_dict()) in.fail(fmt::format("items of {}; expected a dict", kind_name(v.kind())));
  List out;
  for (const auto& [key, x] : v.dict().items()) out.emplace_back(List{key, x});
  return charged(in, std::move(out));
}

Value escape(Interpreter& in, const Value& v, Arguments&) {
  std::string text = to_text(v);
  if (!v.is_markup()) text = escape_html(text);
  in.charge(text.size());
  return Value::markup(std::move(text));
}

// "%s of %d" with values.
Value format(Interpreter& in, const Value& v, Arguments& arguments) {
  const std::string text = to_text(v);
  std::string out;
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const char kind = i + 1 < text.size() ? text[++i] : 0;
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (kind != 's' && kind != 'd') in.fail("a format other than %s, %d and %%");
    if (used >= arguments.positional.size()) in.fail("not enough values for the format");
    const Value& x = arguments.positional[used++];
    out += kind == 's' ? to_text(x) : to_text(parse_number<int64_t>(x, Value{}, int64_t{0}));
    if (out.size() > (size_t{64} << 20)) in.fail("format makes more than 64 MiB");
  }
  return charged(in, std::move(out));
}

template <std::string (*change)(std::string_view)>
Value text_filter(Interpreter& in, const Value& v, Arguments&) {
  return charged(in, change(to_text(v)));
}
Value to_list(Interpreter& in, const Value& v, Arguments&) {
  return in.elements(v);
}
Value absolute(Interpreter& in, const Value& v, Arguments&) {
  if (!v.is_numeric()) in.fail(fmt::format("abs of {}", kind_name(v.kind())));
  if (!v.is_integral()) return std::fabs(v.number());
  return v.integer() < 0 ? static_cast<int64_t>(0 - static_cast<uint64_t>(v.integer()))
                         : v.integer();
}

struct Row {
  const char* name;
  FilterFunction filter;
};

constexpr Row kFilters[] = {
    {"length", length},
    {"count", length},
    {"tojson", tojson},
    {"default", fallback},
    {"d", fallback},
    {"join", join},
    {"trim", trim},
    {"replace", replace},
    {"indent", indent},
    {"dictsort", dictsort},
    {"items", items},
    {"map", map},
    {"select", choose<false, true>},
    {"reject", choose<false, false>},
    {"selectattr", choose<true, true>},
    {"rejectattr", choose<true, false>},
    {"unique", unique},
    {"sort", sort},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"sum", sum},
    {"int", [](Interpreter&, const Value& v,
               Arguments& a) { return parse_number<int64_t>(v, a.get(0, "default"), int64_t{0}); }},
    {"float", [](Interpreter&, const Value& v,
                 Arguments& a) { return parse_number<double>(v, a.get(0, "default"), 0.0); }},
    {"round", round_value},
    {"abs", absolute},
    {"first", first},
    {"last", last},
    {"reverse", reverse},
    {"list", to_list},
    {"string", [](Interpreter& in, const Value& v,
                  Arguments&) { return v.is_markup() ? v : charged(in, to_text(v)); }},
    {"safe", [](Interpreter&, const Value& v, Arguments&) { return Value::markup(to_text(v)); }},
    {"escape", escape},
    {"e", escape},
    {"forceescape", escape},
    {"format", format},
    {"upper", text_filter<upper_text>},
    {"lower", text_filter<lowercase_unicode>},
    {"title", text_filter<title_text>},
    {"capitalize", text_filter<capitalize_text>},
    {"attr", [](Interpreter& in, const Value& v,
                Arguments& a) { return in.get_item(v, a.get(0, "name")); }},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (const Row& row : kFilters) {
    if (name == row.name) return row.filter;
  }
  return nullptr;
}

}  // namespace lm::jinja
