// The languages that constraints are written in. Each adds its rules to the grammar and returns the
// rule to start with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

class Tokenizer;

struct JsonSchemaOptions {
  bool any_space = true, any_order = true;
};
// Adds to `notes` what is not enforced. Throws bad_option for what is no schema, unsupported naming
// every keyword that cannot be enforced with its path.
RuleId read_json_schema(Grammar& g, std::string_view schema, const JsonSchemaOptions& options,
                        std::vector<std::string>& notes);

struct GbnfOptions {
  JsonSchemaOptions json;                // of %json
  const Tokenizer* tokenizer = nullptr;  // whose control tokens markers mean
};
// llama.cpp's grammar files (ggml-org/llama.cpp: grammars/README.md), and items for languages
// within languages:
//   %json {...}             a JSON text that the schema allows
//   %regex "..."            one match of a regular expression
//   %marker "..."           a text, which may be or contain the name of a control token
//   %until ("..." ...)      text up to the first of these markers, and that marker
//   %without ("..." ...)    text without any of these markers
// Throws bad_option with line and column, and what read_json_schema and regular expressions throw.
RuleId read_gbnf(Grammar& g, std::string_view text, const GbnfOptions& options,
                 std::vector<std::string>& notes);

}  // namespace lm
