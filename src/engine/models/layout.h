// What the layouts of models/arch.h do to the rows of a matrix.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/formats/model_config.h"
#include "engine/models/arch.h"

namespace lm {

// Where the rows of tensor `name` (GGUF's name) come from when it changes family: row r of the
// result is row [r] of the source. to_gguf: from Hugging Face's order to GGUF's; else back. Empty
// where the layout keeps the order. Throws bad_file when `rows` cannot be divided among the heads.
std::vector<int64_t> layout_rows(Layout layout, std::string_view name, int64_t rows,
                                 const ModelConfig& config, bool to_gguf);

}  // namespace lm
