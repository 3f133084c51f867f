// The list of architectures. Adding one: models/arch/<name>.cpp and one line in arch_list.inc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/formats/model_config.h"
#include "engine/models/model_spec.h"

namespace lm {

// How a tensor's values differ between the two families of files; what conversion between them has
// to do. ModelConfig::gguf_layout tells which one a model has.
enum class Layout : uint8_t {
  same,
  rope_rows,    // GGUF: rows of q and k reordered from halves to pairs (q: n_heads, k: n_kv_heads)
  transposed,   // Hugging Face: [in, out] (GPT-2's Conv1D)
  plus_one,     // GGUF: 1 is added to the stored norm weight
  fused_heads,  // Hugging Face: q, k, v of each head together (GPT-NeoX); GGUF: all q, all k, all v
  minus_exp,    // GGUF: -exp(A_log) of the stored value (Mamba)
  squeezed,     // GGUF: dimensions of size 1 left out (depthwise convolutions)
};

// Renames tensors of Hugging Face checkpoints: the first {} stands for the layer number, a second
// one for the expert's. GGUF files stack the experts of a layer in one tensor "..._exps.weight".
struct NameRule {
  const char* hf;
  const char* ours;
  Layout layout = Layout::same;
};

struct Arch {
  const char* name;                      // GGUF's general.architecture
  std::vector<const char*> model_types;  // config.json's model_type values
  ModelSpec (*describe)(const ModelConfig& config, const TensorMap& tensors);
  std::vector<NameRule> names;
  const char* families;  // the models it serves, for people
  bool gguf = true;      // GGUF files of this architecture exist
  // Whose weights have every constant factor of config.json in them.
  bool factors_in_weights = false;
};

// Throws unsupported, listing the known ones.
const Arch& find_arch(const std::string& architecture);
const std::vector<const Arch*>& all_archs();

// The tensor map with our names; tensors without a rule keep theirs. A prefix that a larger model
// puts in front ("model.language_model.", "bert.", ...) may be missing or present, as in the rules.
TensorMap rename_tensors(const Arch& arch, TensorMap tensors);
std::string rename_tensor(const Arch& arch, const std::string& name);
// The rule for one of our names, or null; *layer and *expert get the texts of its holes. preferred:
// a part of the Hugging Face name that decides where several rules fit (else the first does).
const NameRule* find_rule(const Arch& arch, std::string_view ours, std::string_view* layer,
                          std::string_view* expert, std::string_view preferred = {});
// The name that a rule gives in Hugging Face checkpoints.
std::string hf_name(const NameRule& rule, std::string_view layer, std::string_view expert);

// Rules of `base` with more in front (the first match counts).
std::vector<NameRule> with_names(std::vector<NameRule> more, const std::vector<NameRule>& base);

// The projection "<stem>.weight" with "<stem>.bias" when the model has one.
LinearSpec linear_spec(const TensorMap& tensors, const std::string& stem, bool transposed = false);
// Rows [begin, begin + n) of it.
LinearSpec linear_rows(LinearSpec linear, int64_t begin, int64_t n);
// The norm "<stem>.weight" with "<stem>.bias" when the model has one.
NormSpec norm_spec(const TensorMap& tensors, NormKind kind, double eps, const std::string& stem);
// From config.json's hidden_act. Throws unsupported.
Activation activation_of(const std::string& name, Activation fallback);

}  // namespace lm
