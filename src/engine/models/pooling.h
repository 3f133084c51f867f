// How a model's files say that texts become vectors.
#pragma once

#include <string>

#include "engine/formats/config_source.h"
#include "engine/models/model_spec.h"

namespace lm {

// sentence-transformers keeps it beside the model: modules.json lists the steps,
// 1_Pooling/config.json says which states are used. Absent files change nothing. Throws bad_file;
// unsupported for steps that are not known (layers of weights behind the pooling) and ways of
// pooling other than mean, first and last token.
void read_sentence_transformers(const std::string& folder, ModelSpec* spec);
// GGUF's pooling_type: 1 mean, 2 first, 3 last token.
void read_gguf_pooling(const ConfigSource& source, ModelSpec* spec);

}  // namespace lm
