// Typed access to fields of the JSON files of Hugging Face folders; every mistake names the field.
// Internal to engine/text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lm {

// The field, or null when it is absent. `object` must be an object.
const nlohmann::json& json_field(const nlohmann::json& object, const char* name);

// The field's text; `fallback`, when given, for an absent field.
std::string json_string(const nlohmann::json& object, const char* name,
                        const char* fallback = nullptr);

bool json_bool(const nlohmann::json& object, const char* name, bool fallback);

// A token id: 0 to max - 1.
int32_t json_id(const nlohmann::json& value, const char* name, int32_t max);

}  // namespace lm
