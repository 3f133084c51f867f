// Methods of strings, lists and dictionaries. Those that change a list or dictionary are refused,
// as in the sandbox that transformers renders in.
#include <algorithm>
#include <cctype>

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/strings.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

const std::string& string_argument(Interpreter& in, const Value& v, const char* method) {
  if (!v.is_string()) in.fail(fmt::format("{} needs a str, got {}", method, kind_name(v.kind())));
  return v.string();
}

Value charged(Interpreter& in, std::string text) {
  in.charge(text.size());
  return text;
}

Value charged(Interpreter& in, List list) {
  in.charge(list.size() * sizeof(Value));
  return list;
}

template <bool left, bool right>
Value strip(Interpreter& in, const Value& s, Arguments& arguments) {
  const Value chars = arguments.get(0, "chars");
  const bool all = chars.is_undefined() || chars.is_none();
  return charged(in, strip_chars(s.string(), all ? nullptr : &string_argument(in, chars, "strip"),
                                 left, right));
}

template <bool from_right>
Value split(Interpreter& in, const Value& s, Arguments& arguments) {
  const Value separator = arguments.get(0, "sep"), limit = arguments.get(1, "maxsplit");
  const bool spaces = separator.is_undefined() || separator.is_none();
  if (!spaces && string_argument(in, separator, "split").empty())
    in.fail("split with an empty separator");
  return charged(in, split_text(s.string(), spaces ? nullptr : &separator.string(),
                                limit.is_integral() ? limit.integer() : -1, from_right));
}

// startswith, endswith: a str or a list of them.
template <bool start>
Value affix(Interpreter& in, const Value& s, Arguments& arguments) {
  const Value given = arguments.get(0, "prefix");
  const auto has = [&](const Value& v) {
    const std::string& part = string_argument(in, v, start ? "startswith" : "endswith");
    return start ? s.string().starts_with(part) : s.string().ends_with(part);
  };
  if (given.is_list()) return std::any_of(given.list().begin(), given.list().end(), has);
  return has(given);
}

template <bool from_right>
Value find(Interpreter& in, const Value& s, Arguments& arguments) {
  const std::string& what = string_argument(in, arguments.get(0, "sub"), "find");
  const size_t at = from_right ? s.string().rfind(what) : s.string().find(what);
  if (at == std::string::npos) return int64_t{-1};
  // In characters, as everything else counts.
  return static_cast<int64_t>(char_positions(std::string_view(s.string()).substr(0, at)).size() -
                              1);
}

Value replace(Interpreter& in, const Value& s, Arguments& arguments) {
  const Value what = arguments.get(0, "old"), with = arguments.get(1, "new"),
              limit = arguments.get(2, "count");
  std::string out;
  const bool fits = replace_all(s.string(), string_argument(in, what, "replace"),
                                string_argument(in, with, "replace"),
                                limit.is_integral() ? limit.integer() : -1, size_t{64} << 20, &out);
  if (!fits) in.fail("replace makes more than 64 MiB");
  return charged(in, std::move(out));
}

Value join(Interpreter& in, const Value& s, Arguments& arguments) {
  std::string out;
  bool first = true;
  for (const Value& v : in.elements(arguments.get(0, "iterable"))) {
    if (!first) out += s.string();
    first = false;
    out += string_argument(in, v, "join");
    if (out.size() > (size_t{64} << 20)) in.fail("join makes more than 64 MiB");
  }
  return charged(in, std::move(out));
}

Value count(Interpreter& in, const Value& s, Arguments& arguments) {
  const std::string& what = string_argument(in, arguments.get(0, "sub"), "count");
  if (what.empty()) return static_cast<int64_t>(char_positions(s.string()).size());
  int64_t n = 0;
  for (size_t at = s.string().find(what); at != std::string::npos;
       at = s.string().find(what, at + what.size()))
    ++n;
  return n;
}

template <int (*test)(int)>
Value all_ascii(Interpreter&, const Value& s, Arguments&) {
  const std::string& text = s.string();
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return c < 128 && test(c) != 0; });
}

template <bool prefix>
Value remove_affix(Interpreter& in, const Value& s, Arguments& arguments) {
  const std::string& part = string_argument(in, arguments.get(0, "prefix"), "removeprefix");
  if (prefix ? !s.string().starts_with(part) : !s.string().ends_with(part)) return s;
  return charged(in, s.string().substr(prefix ? part.size() : 0, s.string().size() - part.size()));
}

Value dict_get(Interpreter&, const Value& d, Arguments& arguments) {
  const Value* v = d.dict().find(to_text(arguments.get(0, "key")));
  if (v != nullptr) return *v;
  const Value fallback = arguments.get(1, "default");
  return fallback.is_undefined() ? Value(nullptr) : fallback;
}

Value dict_items(Interpreter& in, const Value& d, Arguments&) {
  List items;
  for (const auto& [key, v] : d.dict().items()) items.emplace_back(List{key, v});
  return charged(in, std::move(items));
}

Value dict_keys(Interpreter& in, const Value& d, Arguments&) {
  return charged(in, in.elements(d));
}

Value dict_values(Interpreter& in, const Value& d, Arguments&) {
  List values;
  for (const auto& [key, v] : d.dict().items()) values.push_back(v);
  return charged(in, std::move(values));
}

Value refuse(Interpreter& in, const Value&, Arguments&) {
  in.fail("changing a list or dict is not allowed in templates; use a namespace or \"+\"");
}

Value list_count(Interpreter&, const Value& list, Arguments& arguments) {
  const Value what = arguments.get(0, "value");
  return static_cast<int64_t>(std::count_if(list.list().begin(), list.list().end(),
                                            [&](const Value& v) { return equal(v, what); }));
}

Value list_index(Interpreter& in, const Value& list, Arguments& arguments) {
  const Value what = arguments.get(0, "value");
  for (size_t i = 0; i < list.list().size(); ++i) {
    if (equal(list.list()[i], what)) return static_cast<int64_t>(i);
  }
  in.fail("index of a value that is not in the list");
}

struct Row {
  Kind kind;
  const char* name;
  MethodFunction method;
};

constexpr Row kMethods[] = {
    {Kind::string, "strip", strip<true, true>},
    {Kind::string, "lstrip", strip<true, false>},
    {Kind::string, "rstrip", strip<false, true>},
    {Kind::string, "split", split<false>},
    {Kind::string, "rsplit", split<true>},
    {Kind::string, "splitlines",
     [](Interpreter& in, const Value& s, Arguments&) {
       return charged(in, split_lines(s.string()));
     }},
    {Kind::string, "startswith", affix<true>},
    {Kind::string, "endswith", affix<false>},
    {Kind::string, "find", find<false>},
    {Kind::string, "rfind", find<true>},
    {Kind::string, "replace", replace},
    {Kind::string, "join", join},
    {Kind::string, "count", count},
    {Kind::string, "upper",
     [](Interpreter& in, const Value& s, Arguments&) {
       return charged(in, upper_text(s.string()));
     }},
    {Kind::string, "lower",
     [](Interpreter& in, const Value& s, Arguments&) {
       return charged(in, lowercase_unicode(s.string()));
     }},
    {Kind::string, "title",
     [](Interpreter& in, const Value& s, Arguments&) {
       return charged(in, title_text(s.string()));
     }},
    {Kind::string, "capitalize",
     [](Interpreter& in, const Value& s, Arguments&) {
       return charged(in, capitalize_text(s.string()));
     }},
    {Kind::string, "isdigit", all_ascii<std::isdigit>},
    {Kind::string, "isalpha", all_ascii<std::isalpha>},
    {Kind::string, "isalnum", all_ascii<std::isalnum>},
    {Kind::string, "isspace", all_ascii<std::isspace>},
    {Kind::string, "removeprefix", remove_affix<true>},
    {Kind::string, "removesuffix", remove_affix<false>},
    {Kind::string, "format",
     [](Interpreter& in, const Value&, Arguments&) -> Value {
       in.fail("str.format is not supported; use ~");
     }},
    {Kind::dict, "get", dict_get},
    {Kind::dict, "items", dict_items},
    {Kind::dict, "keys", dict_keys},
    {Kind::dict, "values", dict_values},
    {Kind::dict, "pop", refuse},
    {Kind::dict, "update", refuse},
    {Kind::dict, "setdefault", refuse},
    {Kind::dict, "clear", refuse},
    {Kind::list, "count", list_count},
    {Kind::list, "index", list_index},
    {Kind::list, "append", refuse},
    {Kind::list, "extend", refuse},
    {Kind::list, "insert", refuse},
    {Kind::list, "pop", refuse},
    {Kind::list, "remove", refuse},
    {Kind::list, "reverse", refuse},
    {Kind::list, "sort", refuse},
};

}  // namespace

MethodFunction find_method(Kind kind, std::string_view name) {
  for (const Row& row : kMethods) {
    if (row.kind == kind && name == row.name) return row.method;
  }
  return nullptr;
}

}  // namespace lm::jinja
