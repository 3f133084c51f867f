// Adapters that change the length of a matrix's rows: DoRA and IA3.
#pragma once

#include "engine/formats/adapter.h"
#include "engine/models/arch.h"

namespace lm {

// Turns the magnitudes of a fitted adapter (fit_adapter) into factors of the rows, which depend on
// the base: W' = diag(out_factor) (W + scale B A) with out_factor = magnitude / |row of W + scale B
// A|. The bias is not scaled where there are A and B; it is for IA3. `base` as in fit_adapter; its
// data are read.
void resolve_magnitudes(Adapter* adapter, const Arch& arch, const ModelConfig& config,
                        const TensorMap& base);

// IA3 scales the inputs of the last matrix of a gated feed-forward block, act(gate) * up; that is
// the same as scaling the rows of `up`, which is what engine and trainer do. The tensor (GGUF's
// name) with in_factor becomes one with out_factor. Throws unsupported for other matrices.
void move_input_factor(AdapterTensor* tensor, const TensorMap& base);
// The way back, for files: factors of "ffn_up" become those of the inputs of "ffn_down".
void restore_input_factor(AdapterTensor* tensor);

}  // namespace lm
