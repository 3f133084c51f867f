// The list of architectures. Adding one: models/arch/<name>.cpp and one line in arch_list.inc.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/formats/model_config.h"
#include "engine/models/model_spec.h"

namespace lm {

// Renames tensors of Hugging Face checkpoints: every {} stands for the layer number.
struct NameRule {
  const char* hf;
  const char* ours;
};

struct Arch {
  const char* name;                      // GGUF's general.architecture
  std::vector<const char*> model_types;  // config.json's model_type values
  ModelSpec (*describe)(const ModelConfig& config, const TensorMap& tensors);
  std::vector<NameRule> names;
};

// Throws unsupported, listing the known ones.
const Arch& find_arch(const std::string& architecture);
const std::vector<const Arch*>& all_archs();

// The tensor map with our names; tensors without a rule keep theirs.
TensorMap rename_tensors(const Arch& arch, TensorMap tensors);

// The projection "<stem>.weight" with "<stem>.bias" when the model has one.
LinearSpec linear_spec(const TensorMap& tensors, const std::string& stem, bool transposed = false);

// Frequencies per position of a rotary embedding, scaling included (linear: Chen et al. 2023;
// llama3: Meta's rule of Llama 3.1, which slows low frequencies by `factor` with a smooth ramp).
std::vector<double> rope_frequencies(const ModelConfig& config);

}  // namespace lm
