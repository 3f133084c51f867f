// Checking a JSON text against a JSON Schema.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

struct JsonProblem {
  std::string path;     // JSON pointer into the value, "" for the whole
  std::string schema;   // where the schema asks for it: "#/properties/age/minimum"
  std::string message;  // what is wrong and what was expected
};

struct JsonValidateOptions {
  bool formats = false;                       // enforce the formats that the standard defines
  std::map<std::string, std::string> others;  // schemas that references may lead to, by URI
};

// What is wrong with a value; empty when it is valid. Drafts 4, 6, 7, 2019-09 and 2020-12 (the
// default), chosen by $schema. Throws bad_option for texts that are no JSON, for schemas that are
// wrong and references that lead nowhere; unsupported for patterns beyond the regular expressions
// known here.
std::vector<JsonProblem> validate_json(std::string_view value, std::string_view schema,
                                       const JsonValidateOptions& options = {});

}  // namespace lm
