// Learning rates and weight decay of single parameters.
#pragma once

#include "engine/api/train.h"
#include "engine/models/arch.h"
#include "engine/train/parameters.h"

namespace lm::train {

// lora.lr_ratio for B of adapters (LoRA+, Hayou et al. 2024, arXiv:2402.12354); layer_decay^k for
// weights k layers below the output (Clark et al. 2020, arXiv:2003.10555), embeddings one below the
// first layer; no_decay.
void set_rates(const TrainOptions& options, const Arch& arch, int64_t n_layers,
               ParameterSet* parameters);

}  // namespace lm::train
