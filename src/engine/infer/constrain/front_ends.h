// The languages that constraints are written in. Each adds its rules to the grammar and returns the
// rule to start with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

// llama.cpp's grammar files (ggml-org/llama.cpp: grammars/README.md). Throws bad_option with line
// and column.
RuleId read_gbnf(Grammar& g, std::string_view text);

struct JsonSchemaOptions {
  bool any_space = true, any_order = true;
};
// Adds to `notes` what is not enforced. Throws bad_option for what is no schema, unsupported naming
// every keyword that cannot be enforced with its path.
RuleId read_json_schema(Grammar& g, std::string_view schema, const JsonSchemaOptions& options,
                        std::vector<std::string>& notes);

}  // namespace lm
