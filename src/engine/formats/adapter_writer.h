// Adapters as PEFT writes them: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/adapter.h"

namespace lm {

struct PeftConfig {
  std::string base_model;  // base_model_name_or_path
  int64_t rank = 0;
  double alpha = 0, dropout = 0;
  bool rslora = false;
  std::vector<std::string> target_modules;  // last parts of module names, sorted
};

// adapter: Hugging Face's names and row order, scales as the config says. The folder is made if it
// is not there; each file appears whole or not at all. Throws io.
void write_peft_adapter(const Adapter& adapter, const PeftConfig& config,
                        const std::string& folder);

}  // namespace lm
