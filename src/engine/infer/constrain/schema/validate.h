// A validator for JSON Schema: drafts 4, 6, 7, 2019-09 and 2020-12, chosen by $schema.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/api/json_validate.h"
#include "engine/infer/constrain/schema/document.h"

namespace lm {

class PatternCache;

class Validator {
 public:
  // formats: whether `format` is enforced for the formats that the standard defines.
  explicit Validator(const SchemaDocument& document, bool formats = false);
  ~Validator();

  // Adds what is wrong to `problems` when it is not null. `schema`: a node of the document.
  bool valid(const Json& schema, const Json& value, std::vector<JsonProblem>* problems = nullptr);
  bool matches(const std::string& pattern, const std::string& text);

 private:
  struct Seen;
  struct Call;
  bool is_match(const std::string& pattern, const std::string& text);  // as a whole
  bool check(const Json& schema, const Json& value, Call& call);
  bool check_keywords(const Json& schema, const Json& value, Call& call);
  bool check_applicators(const Json& schema, const Json& value, Call& call);
  bool check_reference(const Json& schema, const Json& value, Call& call);
  bool check_dynamic(const Json& schema, const Json& value, Call& call);
  bool check_condition(const Json& schema, const Json& value, Call& call);
  bool check_number(const Json& schema, const Json& value, Call& call);
  bool check_string(const Json& schema, const Json& value, Call& call);
  bool check_array(const Json& schema, const Json& value, Call& call);
  bool check_contains(const Json& schema, const Json& value, Call& call);
  bool check_object(const Json& schema, const Json& value, Call& call);
  bool check_dependencies(const Json& schema, const Json& value, Call& call);
  bool check_unevaluated(const Json& schema, const Json& value, Call& call);
  bool fail(const Json& schema, const char* keyword, Call& call, std::string message);
  bool beside(const Json& schema, const Json& value, Call& call);
  bool child(const Json& schema, const Json& value, Call& call, const std::string& step);

  const SchemaDocument& document_;
  const bool formats_;
  std::unique_ptr<PatternCache> patterns_;
  std::vector<const Json*> scope_;  // resources entered, for dynamic references
  int depth_ = 0;
  size_t steps_ = 0;
};

// Equality of JSON values: numbers by value, objects whatever their order.
bool json_equal(const Json& a, const Json& b);
// Characters of a UTF-8 text.
size_t count_characters(const std::string& text);

}  // namespace lm
