// Which tensors a run trains, and how.
#pragma once

#include <functional>
#include <string>

#include "engine/api/train.h"
#include "engine/models/arch.h"
#include "engine/train/linear.h"

namespace lm::train {

// The options' choice for each tensor (GGUF's name). Throws bad_option for targets that name
// nothing in the model, listing the modules it has.
std::function<Role(const std::string& tensor)> make_roles(const TrainOptions& options,
                                                          const Arch& arch,
                                                          const TensorMap& tensors);

// Whether a tensor (GGUF's name, or Hugging Face's of the same) contains one of the parts.
bool names_tensor(const std::vector<std::string>& parts, const Arch& arch,
                  const std::string& tensor);

// What the word means; none for others.
Quantize quantize_of(const std::string& word);

// Rows before each document under prompt and prefix tuning; else 0.
int64_t n_virtual_tokens(const TrainOptions& options);

// Whether the result is an adapter, not a model.
bool trains_adapter(const TrainOptions& options);

// alpha / rank, or alpha / sqrt(rank); an alpha of 0 is twice the rank.
double lora_scale(const LoraOptions& lora);

// The last part of the Hugging Face module that a tensor belongs to ("q_proj").
std::string module_name(const Arch& arch, const std::string& tensor);

}  // namespace lm::train
