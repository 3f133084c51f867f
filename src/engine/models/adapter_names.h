// Fits an adapter to a base model: tensor names, the order of rows, shapes.
#pragma once

#include "engine/formats/adapter.h"
#include "engine/models/arch.h"

namespace lm {

// Gives the adapter's tensors GGUF's names and the row order of the base, whose layout `config`
// tells and whose tensors (under GGUF's names) are `base`. Throws unsupported for another
// architecture, bad_file naming tensors the base does not have and shapes that do not fit.
void fit_adapter(Adapter* adapter, const Arch& arch, const ModelConfig& config,
                 const TensorMap& base);

// Whether the base has this matrix (GGUF's name) as [in, out], as GPT-2's Hugging Face files do.
bool is_stored_transposed(const Arch& arch, const ModelConfig& config, const std::string& tensor);

// The way back: an adapter under GGUF's names and in the base's row order gets Hugging Face's.
void unfit_adapter(Adapter* adapter, const Arch& arch, const ModelConfig& config);

}  // namespace lm
