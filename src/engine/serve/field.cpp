#include "engine/serve/field.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/edit_distance.h"
#include "engine/serve/api_error.h"

namespace lm::serve {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('|', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

const char* type_name(const Json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number_float() &&
      value.get<double>() ==
          static_cast<double>(static_cast<int64_t>(std::clamp(value.get<double>(), -9e15, 9e15))))
    return "integer";
  return value.type_name();
}

bool has_type(const Json& value, const std::string& types) {
  for (const std::string& type : split(types))
    if (type == "any" || type == type_name(value) || (type == "number" && value.is_number()))
      return true;
  return false;
}

std::string shown(const Json& value) {
  std::string text = dump(value);
  if (text.size() <= 60) return text;
  size_t end = 57;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

void check_field(const Field& field, const Json& value) {
  if (field.use == Field::Use::refused) {
    for (const std::string& neutral : split(field.neutral))
      if (value == Json::parse(neutral)) return;
    throw ApiError(400,
                   fmt::format("{}: {} is not supported by this server", field.name, shown(value)),
                   field.name, "unsupported_parameter");
  }
  if (!has_type(value, field.type))
    throw ApiError(400, fmt::format("{} is {}; expected {}", field.name, shown(value), field.type),
                   field.name, "invalid_type");
  if (!value.is_number()) return;
  const auto number = value.get<double>();
  if (number < field.least || number > field.most)
    throw ApiError(400,
                   fmt::format("{} is {}; expected {} to {}", field.name, shown(value), field.least,
                               field.most),
                   field.name, "invalid_value");
}

[[noreturn]] void unknown(const Fields& fields, const std::string& name) {
  std::string message = fmt::format("unknown field \"{}\"", name), best;
  size_t best_distance = std::min<size_t>(4, name.size());
  for (const Field& field : fields)
    if (const size_t d = name.size() < 100 ? edit_distance(name, field.name) : 100;
        d < best_distance) {
      best_distance = d;
      best = field.name;
    }
  if (!best.empty()) message += fmt::format(", did you mean \"{}\"?", best);
  throw ApiError(400, message, name, "unknown_parameter");
}

}  // namespace

Field works(std::string name, std::string type, std::string doc) {
  return {std::move(name), std::move(type), std::move(doc)};
}
Field works(std::string name, std::string type, std::string doc, double least, double most) {
  return {std::move(name), std::move(type), std::move(doc), Field::Use::works, false, least, most};
}
Field required(std::string name, std::string type, std::string doc) {
  return {std::move(name), std::move(type), std::move(doc), Field::Use::works, true};
}
Field noted(std::string name, std::string type, std::string doc) {
  return {std::move(name), std::move(type), std::move(doc), Field::Use::noted};
}
Field refused(std::string name, std::string doc, std::string neutral) {
  Field field{std::move(name), "any", std::move(doc), Field::Use::refused};
  field.neutral = std::move(neutral);
  return field;
}

void check_fields(const Fields& fields, const Json& body, bool ignore_unknown) {
  for (const auto& [name, value] : body.items()) {
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
    if (field == fields.end()) {
      if (ignore_unknown) continue;
      unknown(fields, name);
    }
    if (!value.is_null()) check_field(*field, value);
  }
  for (const Field& field : fields)
    if (field.required && member(body, field.name.c_str()) == nullptr)
      throw ApiError(400, fmt::format("{} is missing: {}", field.name, field.doc), field.name,
                     "missing_required_parameter");
}

Json fields_schema(const Fields& fields) {
  Json properties = Json::object(), must = Json::array();
  for (const Field& field : fields) {
    Json entry = Json::object();
    std::vector<std::string> types = split(field.type);
    if (field.type != "any") {
      types.emplace_back("null");
      entry["type"] = types;
    }
    entry["description"] =
        field.use == Field::Use::refused ? "not supported: " + field.doc : field.doc;
    if (field.least > -1e300) entry["minimum"] = field.least;
    if (field.most < 1e300) entry["maximum"] = field.most;
    if (field.use != Field::Use::works)
      entry["x-use"] = field.use == Field::Use::noted ? "noted" : "refused";
    properties[field.name] = std::move(entry);
    if (field.required) must.push_back(field.name);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!must.empty()) schema["required"] = std::move(must);
  return schema;
}

const Json* member(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string text_or(const Json& object, const char* name, std::string fallback) {
  const Json* value = member(object, name);
  return value && value->is_string() ? value->get<std::string>() : fallback;
}
double number_or(const Json& object, const char* name, double fallback) {
  const Json* value = member(object, name);
  return value && value->is_number() ? value->get<double>() : fallback;
}
int64_t integer_or(const Json& object, const char* name, int64_t fallback) {
  const Json* value = member(object, name);
  if (!value || !value->is_number()) return fallback;
  if (value->is_number_integer()) return value->get<int64_t>();
  return static_cast<int64_t>(std::clamp(value->get<double>(), -9e18, 9e18));
}
bool boolean_or(const Json& object, const char* name, bool fallback) {
  const Json* value = member(object, name);
  return value && value->is_boolean() ? value->get<bool>() : fallback;
}

std::vector<std::string> texts_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (!value) return {};
  if (value->is_string()) return {value->get<std::string>()};
  std::vector<std::string> texts;
  if (value->is_array())
    for (const Json& item : *value)
      if (item.is_string()) texts.push_back(item.get<std::string>());
  if (!value->is_array() || texts.size() != value->size())
    throw ApiError(
        400, fmt::format("{} is {}; expected a string or a list of strings", name, shown(*value)),
        name, "invalid_type");
  return texts;
}

std::vector<int32_t> ids_of(const Json& list, const char* name, int64_t size) {
  std::vector<int32_t> ids;
  if (list.is_array())
    for (const Json& item : list) {
      const int64_t id = item.is_number_integer() ? item.get<int64_t>() : -1;
      if (id < 0 || id >= size)
        throw ApiError(
            400, fmt::format("{}: {} is no token; expected 0 to {}", name, shown(item), size - 1),
            name, "invalid_value");
      ids.push_back(static_cast<int32_t>(id));
    }
  else
    throw ApiError(400, fmt::format("{} is {}; expected a list of tokens", name, shown(list)), name,
                   "invalid_type");
  return ids;
}

}  // namespace lm::serve
