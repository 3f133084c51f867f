#include "engine/text/hf_json.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace lm {

const nlohmann::json& json_field(const nlohmann::json& object, const char* name) {
  static const nlohmann::json kNull;
  LM_CHECK(object.is_object(), ErrorCode::bad_file, "load: expected an object with \"{}\", got {}",
           name, object.type_name());
  const auto it = object.find(name);
  return it == object.end() ? kNull : *it;
}

std::string json_string(const nlohmann::json& object, const char* name, const char* fallback) {
  const nlohmann::json& value = json_field(object, name);
  if (value.is_null() && fallback != nullptr) return fallback;
  LM_CHECK(value.is_string(), ErrorCode::bad_file, "load: \"{}\" is {}; expected a string", name,
           value.type_name());
  return value.get<std::string>();
}

bool json_bool(const nlohmann::json& object, const char* name, bool fallback) {
  const nlohmann::json& value = json_field(object, name);
  if (value.is_null()) return fallback;
  LM_CHECK(value.is_boolean(), ErrorCode::bad_file, "load: \"{}\" is {}; expected a boolean", name,
           value.type_name());
  return value.get<bool>();
}

int32_t json_id(const nlohmann::json& value, const char* name, int32_t max) {
  LM_CHECK(value.is_number_integer(), ErrorCode::bad_file,
           "load: \"{}\" is {}; expected a token id", name, value.type_name());
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() < static_cast<uint64_t>(max)
                        : value.get<int64_t>() >= 0 && value.get<int64_t>() < max;
  LM_CHECK(fits, ErrorCode::bad_file, "load: \"{}\" is {}; expected a token id from 0 to {}", name,
           value.dump(), max - 1);
  return value.get<int32_t>();
}

}  // namespace lm
