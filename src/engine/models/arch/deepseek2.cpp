// DeepSeek-V2 and V2-Lite (arXiv:2405.04434): keys and values from a low-rank latent, a shared
// rotated part of the keys; many small experts with shared ones; the first layers are dense.
#include <cmath>

#include "engine/core/error.h"
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"
#include "engine/models/rope.h"

namespace lm {
namespace {

// k_nope and v of every head come from the latent; one rotated part of the keys is shared by all.
AttentionSpec attention(const ModelConfig& c, const TensorMap& tensors, int64_t layer) {
  const ConfigSource& s = *c.source;
  const auto linear = [&](const char* part) {
    return linear_spec(tensors, layer_name(layer, part));
  };
  const auto norm = [&](const char* part) {
    return norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(layer, part));
  };
  AttentionSpec a;
  a.n_heads = a.n_kv_heads = c.n_heads;
  const int64_t rope = s.integer("qk_rope_head_dim", "rope.dimension_count").value_or(0);
  a.head_dim = c.gguf_layout ? s.integer("", "attention.key_length_mla").value_or(c.head_dim)
                             : s.integer("qk_nope_head_dim", "").value_or(0) + rope;
  a.value_dim = s.integer("v_head_dim", "attention.value_length_mla")
                    .value_or(s.integer("", "attention.value_length").value_or(a.head_dim));
  LatentSpec l;
  l.kv_rank = s.integer("kv_lora_rank", "attention.kv_lora_rank").value_or(0);
  l.q_rank = s.integer("q_lora_rank", "attention.q_lora_rank").value_or(0);
  LM_CHECK(rope > 0 && rope % 2 == 0 && rope < a.head_dim && a.value_dim > 0 &&
               a.value_dim <= a.head_dim && a.head_dim <= 4096 && l.kv_rank > 0 && l.q_rank >= 0,
           ErrorCode::bad_file,
           "{}: heads of {} with {} rotated, values of {}, latents of {} and {}; expected positive "
           "sizes that fit each other",
           s.where(), a.head_dim, rope, a.value_dim, l.kv_rank, l.q_rank);
  if (l.q_rank > 0) {
    l.q_a = linear("attn_q_a");
    l.q_norm = norm("attn_q_a_norm");
  }
  l.q_b = l.q_rank > 0 ? linear("attn_q_b") : linear("attn_q");
  l.kv_a = linear("attn_kv_a_mqa");
  l.kv_norm = norm("attn_kv_a_norm");
  if (tensors.contains(layer_name(layer, "attn_k_b.weight"))) {
    const int64_t nope = a.head_dim - rope;
    for (int64_t h = 0; h < a.n_heads; ++h) {
      l.kv_b.push_back(linear_rows(linear("attn_k_b"), h * nope, nope));
      l.kv_b.back().transposed = true;
      l.kv_b.push_back(linear_rows(linear("attn_v_b"), h * a.value_dim, a.value_dim));
    }
  } else {
    l.kv_b = {linear("attn_kv_b")};
  }
  a.latent = std::move(l);
  a.output = linear("attn_output");
  a.rope = make_rope(RopeKind::interleaved, rope, c.rope_theta, c.rope_scaling, c.context_length);
  a.rope.offset = a.head_dim - rope;
  a.scale = 1.0f / std::sqrt(static_cast<float>(a.head_dim));
  const RopeScalingConfig& r = c.rope_scaling;
  if (r.type != "yarn") return a;
  double m = r.mscale_all_dim != 0.0 ? yarn_magnitude(r.factor, r.mscale_all_dim) : 1.0;
  if (c.gguf_layout) {  // as llama.cpp reads its keys
    const bool own = r.log_multiplier == 0.0;
    a.rope.magnitude =
        static_cast<float>(r.extra_factor * (own ? yarn_magnitude(r.factor, 1.0) : 1.0));
    m = static_cast<double>(a.rope.magnitude) * yarn_magnitude(r.factor, 10.0 * r.log_multiplier);
  }
  a.scale *= static_cast<float>(m * m);
  return a;
}

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelConfig plain = c;
  plain.rope_scaling = {};
  ModelSpec spec = describe_llama_like(plain, tensors, RopeKind::interleaved);
  for_each_attention(spec,
                     [&](int64_t layer, AttentionSpec& a) { a = attention(c, tensors, layer); });
  const MoeConfig moe = read_moe(c);
  if (moe.n_experts == 0) return spec;
  add_experts(spec, c, tensors, moe);
  const ConfigSource& s = *c.source;
  const bool grouped = s.text("topk_method", "").value_or("greedy") == "group_limited_greedy";
  for_each_branch(spec, [&](Branch& branch) {
    auto* m = std::get_if<MoeSpec>(&branch.op);
    if (m == nullptr || !grouped) return;
    m->n_groups = s.integer("n_group", "expert_group_count").value_or(0);
    m->n_groups_used = s.integer("topk_group", "expert_group_used_count").value_or(0);
    const auto n = static_cast<int64_t>(m->experts.size());
    LM_CHECK(m->n_groups >= 1 && n % m->n_groups == 0 && m->n_groups_used >= 1 &&
                 m->n_groups_used <= m->n_groups,
             ErrorCode::bad_file,
             "{}: {} of {} groups of {} experts; expected groups of equal size", s.where(),
             m->n_groups_used, m->n_groups, n);
  });
  return spec;
}

}  // namespace

extern const Arch kArch_deepseek2;
const Arch kArch_deepseek2 = {
    "deepseek2",
    {"deepseek_v2"},
    describe,
    with_names(
        {{"model.layers.{}.self_attn.q_a_proj.weight", "blk.{}.attn_q_a.weight"},
         {"model.layers.{}.self_attn.q_a_layernorm.weight", "blk.{}.attn_q_a_norm.weight"},
         {"model.layers.{}.self_attn.q_b_proj.weight", "blk.{}.attn_q_b.weight"},
         {"model.layers.{}.self_attn.kv_a_proj_with_mqa.weight", "blk.{}.attn_kv_a_mqa.weight"},
         {"model.layers.{}.self_attn.kv_a_layernorm.weight", "blk.{}.attn_kv_a_norm.weight"},
         {"model.layers.{}.self_attn.kv_b_proj.weight", "blk.{}.attn_kv_b.weight"}},
        with_names(moe_names(), llama_like_names(false))),
    "DeepSeek-V2, V2-Lite"};

}  // namespace lm
