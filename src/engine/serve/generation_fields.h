// The fields that say how an answer is made, the same for all OpenAI routes; the other dialects
// translate into them.
#pragma once

#include <memory>
#include <string>

#include "engine/api/generate.h"
#include "engine/serve/call.h"
#include "engine/serve/field.h"
#include "engine/serve/models.h"

namespace lm::serve {

// Fields of sampling, stopping and constraints.
Fields generation_fields();

// Reads them. Options that the body does not name are OpenAI's: temperature 1, penalties over the
// answer only. max_tokens stays as it is. Throws ApiError 400.
GenerateOptions generation_options(const Json& body, const ServedModel& model);

// What the answer must satisfy: response_format, structured_outputs, guided_*, json_schema,
// grammar; null: nothing. Throws ApiError 400.
std::shared_ptr<const Constraint> constraint_of(Call& call, const ServedModel& model);
// For a schema that is given.
std::shared_ptr<const Constraint> schema_constraint(Call& call, const ServedModel& model,
                                                    const Json& schema, const char* param);

}  // namespace lm::serve
