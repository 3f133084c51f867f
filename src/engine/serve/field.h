// The fields of a route's body: what is checked, described and documented about them.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/serve/json.h"

namespace lm::serve {

struct Field {
  enum class Use : uint8_t {
    works,    // does what it says
    noted,    // accepted; by its meaning it changes nothing in the answer ("user", "metadata")
    refused,  // known to clients, but not done here: 400 unless the value asks for nothing
  };
  std::string name;
  std::string type;  // JSON types, "|" between: "string|array", or "any"
  std::string doc;
  Use use = Use::works;
  bool required = false;
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  std::string neutral = {};  // refused: values that ask for nothing, as JSON, "|" between
};
using Fields = std::vector<Field>;

Field works(std::string name, std::string type, std::string doc);
Field works(std::string name, std::string type, std::string doc, double least, double most);
Field required(std::string name, std::string type, std::string doc);
Field noted(std::string name, std::string type, std::string doc);
Field refused(std::string name, std::string doc, std::string neutral = "false");

// Throws ApiError 400, naming the field. A null is as good as an absent field.
void check_fields(const Fields& fields, const Json& body, bool ignore_unknown);
// As a JSON Schema.
Json fields_schema(const Fields& fields);

// Reads of a checked body; absent and null give the fallback.
const Json* member(const Json& object, const char* name);
std::string text_or(const Json& object, const char* name, std::string fallback);
double number_or(const Json& object, const char* name, double fallback);
int64_t integer_or(const Json& object, const char* name, int64_t fallback);
bool boolean_or(const Json& object, const char* name, bool fallback);
// A string, or a list of strings. Throws ApiError 400.
std::vector<std::string> texts_of(const Json& object, const char* name);
// A list of token ids below `size`. Throws ApiError 400.
std::vector<int32_t> ids_of(const Json& list, const char* name, int64_t size);

}  // namespace lm::serve
