// How Hugging Face names the families that can be written as its folders.
#pragma once

#include <string_view>

#include "engine/models/model_spec.h"

namespace lm {

struct HfFamily {
  const char* architecture;  // GGUF's
  const char* model_type;    // config.json's
  const char* model_class;   // config.json's architectures
  const char* epsilon;       // name of the norms' epsilon
  const char* activation;    // "name=value"
  // Separated by spaces: names in config.json to prefer where several are understood.
  const char* names = "";
  const char* tensors = "";  // part of tensor names to prefer
  const char* extra = "";    // JSON members that never change
  // In front of every tensor of the model proper where a head for scores stands beside it.
  const char* base = "";
  bool stacked_experts = false;  // gate over up and down of all experts in one tensor each
};

// The family of a model. Throws unsupported, listing those that can be written.
const HfFamily& hf_family(std::string_view architecture, const ModelSpec& spec);

}  // namespace lm
