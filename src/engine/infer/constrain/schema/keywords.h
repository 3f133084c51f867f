// Reading keywords of a schema, forgiving what older drafts and hurried authors write.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/infer/constrain/schema/literal.h"

namespace lm {

// The value of a keyword, or null; of the right kind, or null.
const Json* member_at(const Json& schema, const char* keyword);
const Json* list_at(const Json& schema, const char* keyword);
const Json* table_at(const Json& schema, const char* keyword);
const Json* schema_at(const Json& schema, const char* keyword);
int64_t count_at(const Json& schema, const char* keyword, int64_t fallback);

// The bits of `type`; all where there is none. Throws bad_option for names of no type.
uint32_t type_bits(const Json& schema, const SchemaDocument& document);
// The bits of one value.
uint32_t type_of_value(const Json& value);
// Whether a keyword puts no condition on values ("title", "$defs", "x-anything").
bool is_annotation(std::string_view keyword);
// Whether it is of the validation vocabulary: a condition that needs no subschema.
bool is_validation(std::string_view keyword);

}  // namespace lm
