// Keywords for numbers and strings, and equality of values.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/decimal.h"
#include "engine/infer/constrain/schema/formats.h"
#include "engine/infer/constrain/schema/validate_call.h"

namespace lm {

bool Validator::check_number(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  const Decimal number = Decimal::of(value);
  const auto bound = [&](const char* keyword, int sign, bool strict) {
    const Json* limit = member_at(schema, keyword);
    if (limit == nullptr || !limit->is_number()) return;
    const int order = number.compare(Decimal::of(*limit)) * sign;
    if (order > 0 || (order == 0 && !strict)) return;
    good =
        fail(schema, keyword, call,
             fmt::format("{}; expected {}{} {}", shown(value), sign > 0 ? "more than" : "less than",
                         strict ? "" : " or equal to", shown(*limit)));
  };
  const auto is_true = [&](const char* keyword) {
    const Json* flag = member_at(schema, keyword);
    return flag != nullptr && *flag == true;
  };
  bound("minimum", 1, is_true("exclusiveMinimum"));
  bound("maximum", -1, is_true("exclusiveMaximum"));
  bound("exclusiveMinimum", 1, true);
  bound("exclusiveMaximum", -1, true);
  if (const Json* step = member_at(schema, "multipleOf"); step && step->is_number()) {
    if (!number.is_multiple_of(Decimal::of(*step)))
      good = fail(schema, "multipleOf", call,
                  fmt::format("{}; expected a multiple of {}", shown(value), shown(*step)));
  }
  return good;
}

bool Validator::check_string(const Json& schema, const Json& value, Call& call) {
  const auto& text = value.get_ref<const std::string&>();
  bool good = true;
  const int64_t min = count_of(schema, "minLength"), max = count_of(schema, "maxLength");
  if (min >= 0 || max >= 0) {
    const auto length = static_cast<int64_t>(count_characters(text));
    if (length < min)
      good = fail(schema, "minLength", call,
                  fmt::format("a text of {} characters; expected at least {}", length, min));
    if (max >= 0 && length > max)
      good = fail(schema, "maxLength", call,
                  fmt::format("a text of {} characters; expected at most {}", length, max));
  }
  if (const Json* pattern = member_at(schema, "pattern"); pattern && pattern->is_string()) {
    if (!matches(pattern->get_ref<const std::string&>(), text))
      good = fail(schema, "pattern", call,
                  fmt::format("{}; expected a match of {}", shown(value), shown(*pattern)));
  }
  if (const Json* format = member_at(schema, "format"); formats_ && format && format->is_string()) {
    const char* pattern = format_pattern(format->get_ref<const std::string&>());
    if (pattern != nullptr && !is_match(pattern, text))
      good = fail(schema, "format", call,
                  fmt::format("{}; expected the format {}", shown(value), shown(*format)));
  }
  return good;
}

bool json_equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return Decimal::of(a).compare(Decimal::of(b)) == 0;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array()) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!json_equal(a[i], b[i])) return false;
    return true;
  }
  if (a.is_object()) {
    for (const auto& [name, member] : a.items()) {
      const auto other = b.find(name);
      if (other == b.end() || !json_equal(member, *other)) return false;
    }
    return true;
  }
  return a == b;
}

size_t count_characters(const std::string& text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

std::vector<JsonProblem> validate_json(std::string_view value, std::string_view schema,
                                       const JsonValidateOptions& options) {
  const SchemaDocument document(schema, options.others);
  const auto parsed = parse_json(value, "value");
  std::vector<JsonProblem> problems;
  Validator(document, options.formats).valid(document.root(), *parsed, &problems);
  return problems;
}

}  // namespace lm
