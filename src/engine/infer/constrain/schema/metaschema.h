// The schemas of schemas, for references to them: nothing is fetched.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lm {

// A schema, as JSON, that accepts what the metaschema with this URI (no fragment) accepts: drafts
// 2019-09 and 2020-12, all vocabularies of the standard in one document. Nothing for other URIs.
std::optional<std::string> metaschema(std::string_view uri);

// Whether schemas of this metaschema have the keywords of the validation vocabulary: all but those
// whose $vocabulary leaves it out.
bool has_validation(const nlohmann::ordered_json& metaschema);
// Takes these keywords out of a schema and its subschemas.
void remove_validation(nlohmann::ordered_json& schema);

}  // namespace lm
