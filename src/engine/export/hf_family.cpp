#include "engine/export/hf_family.h"

#include <set>
#include <string>

#include "engine/core/error.h"

namespace lm {
namespace {

// Add one: a row. Of several rows for one architecture the first is for plain models, the next for
// models with experts or a window, as the functions below say.
constexpr HfFamily kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"llama", "mixtral", "MixtralForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_local_experts", "block_sparse_moe", ""},
    {"llama", "mistral", "MistralForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "",
     R"({"use_sliding_window": false})"},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_experts", "", ""},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_experts", "mlp.experts", R"({"norm_topk_prob": true})"},
    {"gemma", "gemma", "GemmaForCausalLM", "rms_norm_eps", "hidden_act=gelu_pytorch_tanh", "", "",
     ""},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", "rms_norm_eps", "hidden_activation=gelu_pytorch_tanh",
     "", "", ""},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "rms_norm_eps",
     "hidden_activation=gelu_pytorch_tanh", "", "", ""},
    {"phi3", "phi3", "Phi3ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"granite", "granite", "GraniteForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "", ""},
    {"olmoe", "olmoe", "OlmoeForCausalLM", "rms_norm_eps", "hidden_act=silu", "num_experts",
     "mlp.experts", R"({"norm_topk_prob": false})"},
    {"stablelm", "stablelm", "StableLmForCausalLM", "layer_norm_eps", "hidden_act=silu", "",
     "layernorm", ""},
    {"gpt2", "gpt2", "GPT2LMHeadModel", "layer_norm_epsilon", "activation_function=gelu_new",
     "n_embd n_layer n_head n_inner n_positions", "", ""},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", "layer_norm_eps", "hidden_act=gelu", "", "", ""},
};

}  // namespace

const HfFamily& hf_family(std::string_view architecture, bool has_experts, bool has_window) {
  const HfFamily* found = nullptr;
  for (const HfFamily& f : kFamilies) {
    if (architecture != f.architecture) continue;
    const std::string_view type = f.model_type;
    if (found == nullptr || (type == "mixtral" && has_experts) ||
        (type == "mistral" && has_window && !has_experts))
      found = &f;
  }
  if (found != nullptr) return *found;
  std::string known;
  std::set<std::string_view> seen;
  for (const HfFamily& f : kFamilies)
    if (seen.insert(f.architecture).second)
      known.append(known.empty() ? "" : ", ").append(f.architecture);
  raise(ErrorCode::unsupported,
        "models of architecture \"{}\" cannot be written as a Hugging Face folder; those of {} can",
        architecture, known);
}

}  // namespace lm
