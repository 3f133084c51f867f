#include "engine/models/moe.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/models/llama_like.h"

namespace lm {

MoeConfig read_moe(const ModelConfig& c) {
  const ConfigSource& s = *c.source;
  MoeConfig m;
  m.n_experts =
      s.integer("num_local_experts|num_experts|n_routed_experts", "expert_count").value_or(0);
  if (m.n_experts == 0) return m;
  m.n_used = s.integer("num_experts_per_tok", "expert_used_count").value_or(0);
  m.size = s.integer("moe_intermediate_size", "expert_feed_forward_length").value_or(c.ffn_size);
  m.shared_size =
      s.integer("shared_expert_intermediate_size", "expert_shared_feed_forward_length").value_or(0);
  const int64_t n_shared = s.integer("n_shared_experts", "expert_shared_count").value_or(0);
  if (m.shared_size == 0) m.shared_size = n_shared * m.size;
  m.renormalize = s.flag("norm_topk_prob", "expert_weights_norm").value_or(false);
  m.scale =
      static_cast<float>(s.real("routed_scaling_factor", "expert_weights_scale").value_or(1.0));
  LM_CHECK(m.n_experts >= 1 && m.n_experts <= 4096, ErrorCode::bad_file,
           "{}: {} experts; expected 1..4096", s.where(), m.n_experts);
  LM_CHECK(m.n_used >= 1 && m.n_used <= m.n_experts, ErrorCode::bad_file,
           "{}: {} of {} experts are used for a token; expected 1..{}", s.where(), m.n_used,
           m.n_experts, m.n_experts);
  LM_CHECK(m.size >= 1 && m.size <= (1 << 24) && m.shared_size >= 0 && m.shared_size <= (1 << 24),
           ErrorCode::bad_file, "{}: experts of {} units, a shared one of {}; expected 1..{}",
           s.where(), m.size, m.shared_size, 1 << 24);
  return m;
}

MoeSpec describe_moe(const ModelConfig& c, const TensorMap& tensors, int64_t layer,
                     const MoeConfig& moe) {
  const auto linear = [&](const std::string& part) {
    return linear_spec(tensors, layer_name(layer, part.c_str()));
  };
  const auto has = [&](const char* part) { return tensors.contains(layer_name(layer, part)); };
  MoeSpec m;
  m.gate = linear("ffn_gate_inp");
  m.n_used = moe.n_used;
  m.renormalize = moe.renormalize;
  m.scale = moe.scale;
  const Activation activation = activation_of(c.activation, Activation::silu);
  for (int64_t e = 0; e < moe.n_experts; ++e) {
    MlpSpec x;
    x.size = moe.size;
    x.activation = activation;
    if (has("ffn_gate_exps.weight")) {
      x.gate = linear_rows(linear("ffn_gate_exps"), e * moe.size, moe.size);
      x.up = linear_rows(linear("ffn_up_exps"), e * moe.size, moe.size);
    } else if (has("ffn_gate_up_exps.weight")) {
      x.gate = linear_rows(linear("ffn_gate_up_exps"), 2 * e * moe.size, moe.size);
      x.up = linear_rows(linear("ffn_gate_up_exps"), (2 * e + 1) * moe.size, moe.size);
    } else {
      x.gate = linear(fmt::format("ffn_gate.{}", e));
      x.up = linear(fmt::format("ffn_up.{}", e));
    }
    x.down = has("ffn_down_exps.weight")
                 ? linear_rows(linear("ffn_down_exps"), e * c.hidden_size, c.hidden_size)
                 : linear(fmt::format("ffn_down.{}", e));
    m.experts.push_back(std::move(x));
  }
  if (moe.shared_size > 0) {
    MlpSpec x;
    x.size = moe.shared_size;
    x.activation = activation;
    x.gate = linear("ffn_gate_shexp");
    x.up = linear("ffn_up_shexp");
    x.down = linear("ffn_down_shexp");
    m.shared = std::move(x);
    if (has("ffn_gate_inp_shexp.weight")) m.shared_gate = linear("ffn_gate_inp_shexp");
  }
  return m;
}

void add_experts(ModelSpec& spec, const ModelConfig& c, const TensorMap& tensors,
                 const MoeConfig& moe) {
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = static_cast<int64_t>(i);
    if (!tensors.contains(layer_name(layer, "ffn_gate_inp.weight"))) continue;
    for (Block& block : spec.layers[i])
      for (Branch& branch : block.branches)
        if (std::holds_alternative<MlpSpec>(branch.op))
          branch.op = describe_moe(c, tensors, layer, moe);
  }
}

std::vector<NameRule> moe_names() {
  return {
      {"model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight"},
      {"model.layers.{}.mlp.gate.e_score_correction_bias", "blk.{}.exp_probs_b.bias"},
      {"model.layers.{}.mlp.experts.{}.gate_proj.weight", "blk.{}.ffn_gate.{}.weight"},
      {"model.layers.{}.mlp.experts.{}.up_proj.weight", "blk.{}.ffn_up.{}.weight"},
      {"model.layers.{}.mlp.experts.{}.down_proj.weight", "blk.{}.ffn_down.{}.weight"},
      {"model.layers.{}.mlp.shared_expert.gate_proj.weight", "blk.{}.ffn_gate_shexp.weight"},
      {"model.layers.{}.mlp.shared_expert.up_proj.weight", "blk.{}.ffn_up_shexp.weight"},
      {"model.layers.{}.mlp.shared_expert.down_proj.weight", "blk.{}.ffn_down_shexp.weight"},
      {"model.layers.{}.mlp.shared_experts.gate_proj.weight", "blk.{}.ffn_gate_shexp.weight"},
      {"model.layers.{}.mlp.shared_experts.up_proj.weight", "blk.{}.ffn_up_shexp.weight"},
      {"model.layers.{}.mlp.shared_experts.down_proj.weight", "blk.{}.ffn_down_shexp.weight"},
      {"model.layers.{}.mlp.shared_expert_gate.weight", "blk.{}.ffn_gate_inp_shexp.weight"},
      {"model.layers.{}.block_sparse_moe.gate.weight", "blk.{}.ffn_gate_inp.weight"},
      {"model.layers.{}.block_sparse_moe.experts.{}.w1.weight", "blk.{}.ffn_gate.{}.weight"},
      {"model.layers.{}.block_sparse_moe.experts.{}.w3.weight", "blk.{}.ffn_up.{}.weight"},
      {"model.layers.{}.block_sparse_moe.experts.{}.w2.weight", "blk.{}.ffn_down.{}.weight"},
      {"model.layers.{}.block_sparse_moe.router.layer.weight", "blk.{}.ffn_gate_inp.weight"},
      {"model.layers.{}.block_sparse_moe.input_linear.weight", "blk.{}.ffn_gate_up_exps.weight"},
      {"model.layers.{}.block_sparse_moe.output_linear.weight", "blk.{}.ffn_down_exps.weight"},
  };
}

}  // namespace lm
