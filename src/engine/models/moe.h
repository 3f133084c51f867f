// Descriptions of mixture-of-experts blocks.
#pragma once

#include "engine/models/arch.h"

namespace lm {

// What the file says about the experts of a layer; n_experts 0: the model has none.
struct MoeConfig {
  int64_t n_experts = 0, n_used = 0, size = 0, shared_size = 0;
  bool renormalize = false;
  float scale = 1.0f;
};
// Throws bad_file for counts that do not fit each other.
MoeConfig read_moe(const ModelConfig& config);

// The router ffn_gate_inp and its experts, whose tensors are stacked (ffn_gate_exps [E, F, C],
// ffn_up_exps, ffn_down_exps [E, C, F]), stacked with gate over up (ffn_gate_up_exps [E, 2F, C]),
// or one by one (ffn_gate.<expert>). The shared expert (ffn_gate_shexp ...) is there when
// shared_size > 0, its gate ffn_gate_inp_shexp when the file has one.
MoeSpec describe_moe(const ModelConfig& config, const TensorMap& tensors, int64_t layer,
                     const MoeConfig& moe);

// Puts experts in place of the MLPs of those layers that have a router.
void add_experts(ModelSpec& spec, const ModelConfig& config, const TensorMap& tensors,
                 const MoeConfig& moe);

// Hugging Face names: mlp.experts.E.gate_proj (Qwen, OLMoE, DeepSeek) and block_sparse_moe
// (Mixtral, Phi-3.5-MoE).
std::vector<NameRule> moe_names();

}  // namespace lm
