#include "engine/export/hf_family.h"

#include <set>
#include <string>

#include "engine/core/error.h"

namespace lm {
namespace {

// Add one: a row. Of several rows for one architecture the first is for plain models, the next for
// models with experts, a window, a gate or norms inside of the state spaces, as variant() says.
constexpr HfFamily kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"llama", "mixtral", "MixtralForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_local_experts", "block_sparse_moe"},
    {"llama", "mistral", "MistralForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "",
     R"({"use_sliding_window": false})"},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_experts"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_experts", "mlp.experts", R"({"norm_topk_prob": true})"},
    {"gemma", "gemma", "GemmaForCausalLM", "rms_norm_eps", "hidden_act=gelu_pytorch_tanh"},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", "rms_norm_eps",
     "hidden_activation=gelu_pytorch_tanh"},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "rms_norm_eps",
     "hidden_activation=gelu_pytorch_tanh"},
    {"phi3", "phi3", "Phi3ForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"phimoe", "phimoe", "PhimoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_local_experts", "block_sparse_moe"},
    {"granite", "granite", "GraniteForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"granitemoe", "granitemoe", "GraniteMoeForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "num_local_experts", "block_sparse_moe.router", "", "", true},
    // transformers has no MiniCPM; Granite computes the same with other names for the factors.
    {"minicpm", "granite", "GraniteForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", "rms_norm_eps", "hidden_act=silu"},
    {"olmoe", "olmoe", "OlmoeForCausalLM", "rms_norm_eps", "hidden_act=silu", "num_experts",
     "mlp.experts", R"({"norm_topk_prob": false})"},
    {"stablelm", "stablelm", "StableLmForCausalLM", "layer_norm_eps", "hidden_act=silu", "",
     "layernorm"},
    {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", "rms_norm_eps", "hidden_act=silu",
     "n_routed_experts", "shared_experts",
     R"({"topk_method": "greedy", "n_group": 1, "topk_group": 1})"},
    {"gpt2", "gpt2", "GPT2LMHeadModel", "layer_norm_epsilon", "activation_function=gelu_new",
     "n_embd n_layer n_head n_inner n_positions"},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", "layer_norm_eps", "hidden_act=gelu"},
    {"mamba", "mamba", "MambaForCausalLM", "layer_norm_epsilon", "hidden_act=silu"},
    {"mamba", "falcon_mamba", "FalconMambaForCausalLM", "layer_norm_epsilon", "hidden_act=silu"},
    {"mamba2", "mamba2", "Mamba2ForCausalLM", "layer_norm_epsilon", "hidden_act=silu", "num_heads",
     "mixer.dt_bias"},
    // GGUF files have every factor in the weights.
    {"falcon-h1", "falcon_h1", "FalconH1ForCausalLM", "rms_norm_eps", "hidden_act=silu", "", "",
     R"({"mamba_norm_before_gate": false, "embedding_multiplier": 1.0, "lm_head_multiplier": 1.0,
         "key_multiplier": 1.0, "attention_in_multiplier": 1.0, "attention_out_multiplier": 1.0,
         "ssm_in_multiplier": 1.0, "ssm_out_multiplier": 1.0, "mlp_multipliers": [1.0, 1.0],
         "ssm_multipliers": [1.0, 1.0, 1.0, 1.0, 1.0]})"},
    {"bert", "bert", "BertModel", "layer_norm_eps", "hidden_act=gelu", "", "", "", "bert."},
    {"nomic-bert", "nomic_bert", "NomicBertModel", "layer_norm_eps", "hidden_act=silu"},
    {"modern-bert", "modernbert", "ModernBertModel", "norm_eps", "hidden_activation=gelu", "", "",
     R"({"norm_bias": false})", "model."},
    {"t5", "t5", "T5ForConditionalGeneration", "layer_norm_epsilon", "dense_act_fn=relu",
     "d_model d_ff num_layers num_heads n_positions", "",
     R"({"is_encoder_decoder": true, "relative_attention_max_distance": 128,
         "feed_forward_proj": "relu", "is_gated_act": false})"},
    {"t5", "t5", "T5ForConditionalGeneration", "layer_norm_epsilon", "dense_act_fn=gelu_new",
     "d_model d_ff num_layers num_heads n_positions", "wi_1",
     R"({"is_encoder_decoder": true, "relative_attention_max_distance": 128,
         "feed_forward_proj": "gated-gelu", "is_gated_act": true})"},
};

// Whether a model is of this row's kind, for rows after the first.
bool variant(const HfFamily& family, const ModelSpec& spec) {
  const std::string_view model_type = family.model_type;
  bool experts = false, window = false, inner_norm = false, gated = false;
  for_each_branch(spec, [&](const Branch& b) {
    if (const auto* m = std::get_if<MlpSpec>(&b.op)) gated = gated || m->gated;
    experts = experts || std::holds_alternative<MoeSpec>(b.op);
    if (const auto* a = std::get_if<AttentionSpec>(&b.op)) window = window || a->window > 0;
    if (const auto* s = std::get_if<SsmSpec>(&b.op))
      inner_norm = inner_norm || s->dt_norm.kind != NormKind::none;
  });
  if (model_type == "mixtral") return experts;
  if (model_type == "mistral") return window && !experts;
  if (model_type == "t5") return gated;
  return model_type == "falcon_mamba" && inner_norm;
}

}  // namespace

const HfFamily& hf_family(std::string_view architecture, const ModelSpec& spec) {
  const HfFamily* found = nullptr;
  for (const HfFamily& f : kFamilies)
    if (architecture == f.architecture && (found == nullptr || variant(f, spec))) found = &f;
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
