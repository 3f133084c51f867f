// Hymba (arXiv:2411.13676): attention and Mamba heads side by side in every layer. One matrix gives
// q, k, v and Mamba's x and z; both results are normed, their mean goes through one output
// projection. Meta tokens come before every text. Most layers see a window, and neighbours among
// those share keys and values.
#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"
#include "engine/models/llama_like.h"
#include "engine/models/rope.h"
#include "engine/models/ssm.h"

namespace lm {
namespace {

void refuse_variants(const ModelConfig& c) {
  const auto at_most = [&](const char* name, int64_t limit) {
    const int64_t value = c.source->integer(name, "").value_or(0);
    LM_CHECK(value <= limit, ErrorCode::unsupported, "{}: {} is {}; of Hymba, {} is supported",
             c.source->where(), name, value, limit);
  };
  at_most("memory_tokens_interspersed_every", 0);
  at_most("num_experts", 1);
  at_most("num_mamba", 1);
  at_most("attn_hidden_size", c.hidden_size);
  at_most("kq_head_dim", c.head_dim);
}

// Keys and values of layer i are those of layer producers[i]; -1: its own.
std::vector<int64_t> kv_producers(const ModelConfig& c) {
  const ConfigSource& s = *c.source;
  std::vector<int64_t> out(static_cast<size_t>(c.n_layers), -1);
  const int64_t every = s.integer("kv_reuse_every_i_layer", "").value_or(-1);
  if (!s.numbers("kv_reuse_group.0", "").empty()) {
    for (int g = 0;; ++g) {
      const std::vector<double> group = s.numbers(fmt::format("kv_reuse_group.{}", g), "");
      if (group.empty()) break;
      for (size_t i = 1; i < group.size(); ++i) {
        const bool fits = group[0] >= 0 && group[i] > group[0] &&
                          group[i] < static_cast<double>(c.n_layers) &&
                          out[static_cast<size_t>(group[0])] < 0;
        LM_CHECK(fits, ErrorCode::bad_file,
                 "{}: kv_reuse_group {} gives layer {} the keys of layer {}; expected an earlier "
                 "layer that has its own, of {}",
                 s.where(), g, group[i], group[0], c.n_layers);
        out[static_cast<size_t>(group[i])] = static_cast<int64_t>(group[0]);
      }
    }
  } else if (every > 0) {
    for (int64_t i = 0; i < c.n_layers; ++i)
      if (i % every != 0) out[static_cast<size_t>(i)] = i - i % every;
  }
  return out;
}

// "ntk": the base that dynamic scaling by 2 has at the full length.
RopeSpec rotation(const ModelConfig& c) {
  const ConfigSource& s = *c.source;
  if (!s.flag("rope", "").value_or(true)) return {};
  const std::string type = s.text("rope_type", "").value_or("default");
  const int64_t original = s.integer("orig_max_position_embeddings", "").value_or(c.context_length);
  LM_CHECK(original > 0, ErrorCode::bad_file,
           "{}: orig_max_position_embeddings is {}; expected 1 or more", s.where(), original);
  RopeScalingConfig scaling;
  if (type != "default") {
    LM_CHECK(type == "ntk" || type == "dynamic_ntk", ErrorCode::unsupported,
             "{}: rope_type is \"{}\"; of Hymba, default, ntk and dynamic_ntk are supported",
             s.where(), type);
    scaling.type = "dynamic";
    scaling.factor = 2.0;
  }
  RopeSpec rope = make_rope(RopeKind::half, c.head_dim, c.rope_theta, scaling, original);
  if (type != "ntk") return rope;
  rope.frequencies = rope_at(rope, c.context_length);
  rope.limit = 0;
  return rope;
}

void set_heads(const ModelConfig& c, const TensorMap& tensors, int64_t layer, AttentionSpec* a,
               SsmSpec* m) {
  a->value_dim = m->inner_size / c.n_heads;
  const int64_t q = a->n_heads * a->head_dim, k = a->n_kv_heads * a->head_dim,
                v = a->n_kv_heads * a->value_dim;
  const std::vector<int64_t> rows =
      a->kv_from < 0 ? std::vector<int64_t>{q, k, v, m->inner_size, m->inner_size}
                     : std::vector<int64_t>{q, m->inner_size, m->inner_size};
  a->qkv.clear();
  m->in.clear();
  int64_t begin = 0;
  for (size_t i = 0; i < rows.size(); begin += rows[i++])
    (i + 2 < rows.size() ? a->qkv : m->in)
        .push_back(linear_rows(linear_spec(tensors, layer_name(layer, "ssm_in")), begin, rows[i]));
  const std::string name = layer_name(layer, "ssm_in.weight");
  const auto in = tensors.find(name);
  LM_CHECK(in == tensors.end() || in->second.shape.empty() || in->second.shape[0] == begin,
           ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected [{}, {}]", name,
           shape_string(in->second.shape), begin, c.hidden_size);
  a->output = m->output = linear_spec(tensors, layer_name(layer, "ssm_out"));
  const auto norm = [&](const char* part) {
    return norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(layer, part));
  };
  a->result_norm = norm("attn_result_norm");
  m->norm = norm("ssm_norm");
}

// The output projection of a mean is the mean of the projections.
constexpr float kHalf = 0.5f;

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  refuse_variants(c);
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  const ConfigSource& s = *c.source;
  spec.n_meta = s.integer("num_memory_tokens", "").value_or(0);
  LM_CHECK(spec.n_meta >= 0 && spec.n_meta <= (1 << 16), ErrorCode::bad_file,
           "{}: num_memory_tokens is {}; expected 0..{}", s.where(), spec.n_meta, 1 << 16);
  if (spec.n_meta > 0) spec.meta_tokens = "meta_tokens";
  const RopeSpec rope = rotation(c);
  const std::vector<double> global = s.numbers("global_attn_idx", "");
  const std::vector<int64_t> producers = kv_producers(c);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    std::vector<Branch>& branches = spec.layers[static_cast<size_t>(i)][0].branches;
    AttentionSpec& a = std::get<AttentionSpec>(branches[0].op);
    SsmSpec m = describe_mamba(c, tensors, i);
    a.rope = rope;
    a.kv_from = producers[static_cast<size_t>(i)];
    const bool sees_all = std::count(global.begin(), global.end(), static_cast<double>(i)) > 0;
    // The published masks show sliding_window tokens beside the query's own.
    a.window = sees_all || c.sliding_window == 0 ? 0 : c.sliding_window + 1;
    a.n_sink = a.window > 0 ? spec.n_meta : 0;
    set_heads(c, tensors, i, &a, &m);
    branches[0].scale = kHalf;
    branches.push_back({branches[0].norm, std::move(m), {}, kHalf});
  }
  constexpr double kHeadEps = 1e-6;  // whatever the file's other norms have
  add_qk_norms(spec, tensors, kHeadEps);
  const Activation activation =
      activation_of(s.text("mlp_hidden_act", "").value_or(""), Activation::silu);
  for_each_mlp(spec, [&](int64_t, MlpSpec& mlp) {
    mlp.activation = activation;
    mlp.gated = activation == Activation::silu;
  });
  return spec;
}

}  // namespace

extern const Arch kArch_hymba;
const Arch kArch_hymba = {
    "hymba",
    {"hymba"},
    describe,
    with_names(
        {
            {"model.memory_tokens", "meta_tokens"},
            {"model.final_layernorm.weight", "output_norm.weight"},
            {"model.layers.{}.mamba.in_proj.weight", "blk.{}.ssm_in.weight"},
            {"model.layers.{}.mamba.in_proj.bias", "blk.{}.ssm_in.bias"},
            {"model.layers.{}.mamba.out_proj.weight", "blk.{}.ssm_out.weight"},
            {"model.layers.{}.mamba.out_proj.bias", "blk.{}.ssm_out.bias"},
            {"model.layers.{}.mamba.conv1d.weight", "blk.{}.ssm_conv1d.weight"},
            {"model.layers.{}.mamba.conv1d.bias", "blk.{}.ssm_conv1d.bias"},
            {"model.layers.{}.mamba.x_proj.0.weight", "blk.{}.ssm_x.weight"},
            {"model.layers.{}.mamba.dt_proj.0.weight", "blk.{}.ssm_dt.weight"},
            {"model.layers.{}.mamba.dt_proj.0.bias", "blk.{}.ssm_dt.bias"},
            {"model.layers.{}.mamba.A_log.0", "blk.{}.ssm_a"},
            {"model.layers.{}.mamba.D.0", "blk.{}.ssm_d"},
            {"model.layers.{}.mamba.dt_layernorm.weight", "blk.{}.ssm_dt_norm.weight"},
            {"model.layers.{}.mamba.B_layernorm.weight", "blk.{}.ssm_b_norm.weight"},
            {"model.layers.{}.mamba.C_layernorm.weight", "blk.{}.ssm_c_norm.weight"},
            {"model.layers.{}.mamba.pre_avg_layernorm1.weight", "blk.{}.attn_result_norm.weight"},
            {"model.layers.{}.mamba.pre_avg_layernorm2.weight", "blk.{}.ssm_norm.weight"},
            {"model.layers.{}.mamba.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"},
            {"model.layers.{}.mamba.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"},
            {"model.layers.{}.pre_moe_layernorm.weight", "blk.{}.ffn_norm.weight"},
            {"model.layers.{}.moe.experts.0.gate_proj.weight", "blk.{}.ffn_gate.weight"},
            {"model.layers.{}.moe.experts.0.up_proj.weight", "blk.{}.ffn_up.weight"},
            {"model.layers.{}.moe.experts.0.down_proj.weight", "blk.{}.ffn_down.weight"},
        },
        llama_like_names(false)),
    "Hymba",
    false};

}  // namespace lm
