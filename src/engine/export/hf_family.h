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
  const char*
      names;  // separated by spaces: names in config.json to prefer where several are understood
  const char* tensors;  // part of tensor names to prefer, or empty
  const char* extra;    // JSON members that never change, or empty
};

// The family of a model. Throws unsupported, listing those that can be written.
const HfFamily& hf_family(std::string_view architecture, bool has_experts, bool has_window);

}  // namespace lm
