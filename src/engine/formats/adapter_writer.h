// Adapters as PEFT writes them: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/adapter.h"

namespace lm {

// What the file says beside the adapter itself.
struct PeftConfig {
  std::string base_model;  // base_model_name_or_path
  int64_t rank = 0;        // of LoRA, like alpha, dropout and rslora
  double alpha = 0, dropout = 0;
  bool rslora = false;
  std::vector<std::string> target_modules;  // last parts of module names, sorted
};

// adapter: Hugging Face's names and row order, scales as the config says; one method throughout
// (LoRA, DoRA, IA3, virtual tokens), which becomes peft_type. The folder is made if it
// is not there; each file appears whole or not at all. Throws io.
void write_peft_adapter(const Adapter& adapter, const PeftConfig& config,
                        const std::string& folder);

}  // namespace lm
