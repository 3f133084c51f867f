#include "engine/models/ssm.h"

#include "engine/core/error.h"
#include "engine/models/llama_like.h"

namespace lm {
namespace {

void check_sizes(const ModelConfig& c, const SsmSpec& s) {
  const auto in = [](int64_t v, int64_t hi) { return v >= 1 && v <= hi; };
  LM_CHECK(
      in(s.inner_size, 1 << 20) && in(s.state_size, 1 << 14) && in(s.n_heads, 1 << 20) &&
          in(s.n_groups, 1 << 14) && s.conv_size >= 2 && s.conv_size <= 64 &&
          s.inner_size % s.n_heads == 0 && s.n_heads % s.n_groups == 0 &&
          s.inner_size % s.n_groups == 0 && s.dt_rank >= 0 && s.dt_rank <= (1 << 20),
      ErrorCode::bad_file,
      "{}: state spaces of {} channels in {} heads and {} groups, states of {}, kernels of {}, "
      "rank {}; expected sizes that divide each other",
      c.source->where(), s.inner_size, s.n_heads, s.n_groups, s.state_size, s.conv_size, s.dt_rank);
}

SsmSpec describe_common(const ModelConfig& c, const TensorMap& tensors, int64_t layer) {
  const ConfigSource& s = *c.source;
  SsmSpec m;
  const double expand = s.real("expand|mamba_expand", "").value_or(2.0);
  // Where attention and an MLP stand beside the state spaces, intermediate_size is the MLP's.
  const bool hybrid = s.has("mamba_expand", "");
  m.inner_size =
      s.integer(hybrid ? "mamba_d_ssm" : "mamba_d_ssm|intermediate_size|d_inner", "ssm.inner_size")
          .value_or(static_cast<int64_t>(expand * static_cast<double>(c.hidden_size)));
  m.state_size =
      s.integer("state_size|mamba_d_state|ssm_state_size", "ssm.state_size").value_or(16);
  m.conv_size = s.integer("conv_kernel|mamba_d_conv", "ssm.conv_kernel").value_or(4);
  const auto name = [&](const char* part) { return layer_name(layer, part); };
  m.in = {linear_spec(tensors, name("ssm_in"))};
  m.conv_weight = name("ssm_conv1d.weight");
  if (tensors.contains(name("ssm_conv1d.bias"))) m.conv_bias = name("ssm_conv1d.bias");
  m.a = name("ssm_a");
  m.d = name("ssm_d");
  m.a_is_log = !c.gguf_layout;
  m.output = linear_spec(tensors, name("ssm_out"));
  return m;
}

}  // namespace

SsmSpec describe_mamba(const ModelConfig& c, const TensorMap& tensors, int64_t layer) {
  const ConfigSource& s = *c.source;
  SsmSpec m = describe_common(c, tensors, layer);
  m.n_heads = m.inner_size;
  constexpr const char* kRank = "time_step_rank|mamba_dt_rank";
  m.dt_rank = (c.hidden_size + 15) / 16;  // "auto"
  if (!std::holds_alternative<std::string>(s.get(kRank, "")))
    m.dt_rank = s.integer(kRank, "ssm.time_step_rank").value_or(m.dt_rank);
  m.low = linear_spec(tensors, layer_name(layer, "ssm_x"));
  m.dt = linear_spec(tensors, layer_name(layer, "ssm_dt"));
  const bool normed =
      c.architecture == "falcon_mamba" || s.flag("", "ssm.dt_b_c_rms").value_or(false);
  if (normed) {  // Falcon-Mamba: RMSNorm without weights
    NormSpec norm;
    norm.kind = NormKind::rms;
    norm.eps = static_cast<float>(
        s.real("mixer_rms_eps", "attention.layer_norm_rms_epsilon").value_or(1e-6));
    m.dt_norm = m.b_norm = m.c_norm = norm;
  }
  const auto own_norm = [&](const char* part, NormSpec* norm) {
    if (tensors.contains(layer_name(layer, part) + ".weight"))
      *norm = norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(layer, part));
  };
  own_norm("ssm_dt_norm", &m.dt_norm);
  own_norm("ssm_b_norm", &m.b_norm);
  own_norm("ssm_c_norm", &m.c_norm);
  check_sizes(c, m);
  return m;
}

SsmSpec describe_mamba2(const ModelConfig& c, const TensorMap& tensors, int64_t layer) {
  const ConfigSource& s = *c.source;
  SsmSpec m = describe_common(c, tensors, layer);
  m.n_heads = s.integer("mamba_n_heads|num_heads", "ssm.time_step_rank").value_or(0);
  if (m.n_heads > 0 && !s.has("mamba_d_ssm|d_inner", "ssm.inner_size"))
    m.inner_size = m.n_heads * s.integer("mamba_d_head|head_dim", "").value_or(64);
  m.n_groups = s.integer("n_groups|mamba_n_groups", "ssm.group_count").value_or(1);
  m.dt_bias = layer_name(layer, "ssm_dt.bias");
  const auto limits = s.numbers("time_step_limit", "");
  if (limits.size() == 2 && limits[1] > 0) {
    m.dt_min = static_cast<float>(limits[0]);
    m.dt_max = static_cast<float>(limits[1]);
  }
  if (tensors.contains(layer_name(layer, "ssm_norm.weight")))
    m.norm = norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(layer, "ssm_norm"));
  m.norm_groups = m.n_groups;
  check_sizes(c, m);
  return m;
}

ModelSpec describe_stack(const ModelConfig& c, const TensorMap& tensors,
                         SsmSpec (*op)(const ModelConfig&, const TensorMap&, int64_t layer)) {
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  // Nothing limits the length but patience: the files say at most what training used.
  spec.context_length = std::max<int64_t>(c.context_length, 1 << 20);
  spec.embedding.weight = "token_embd.weight";
  spec.final_norm = norm_spec(tensors, NormKind::rms, c.norm_eps, "output_norm");
  const bool own_output = tensors.contains("output.weight") && !c.tie_embeddings.value_or(false);
  spec.output = own_output ? linear_spec(tensors, "output") : spec.embedding;
  for (int64_t i = 0; i < c.n_layers; ++i) {
    std::vector<Block> layer(1);
    layer[0].branches.push_back(
        {norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(i, "attn_norm")),
         op(c, tensors, i),
         {},
         1.0f});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

std::vector<NameRule> mamba_names() {
  return {
      {"backbone.embeddings.weight", "token_embd.weight"},
      {"backbone.norm_f.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"backbone.layers.{}.norm.weight", "blk.{}.attn_norm.weight"},
      {"backbone.layers.{}.mixer.in_proj.weight", "blk.{}.ssm_in.weight"},
      {"backbone.layers.{}.mixer.in_proj.bias", "blk.{}.ssm_in.bias"},
      {"backbone.layers.{}.mixer.conv1d.weight", "blk.{}.ssm_conv1d.weight", Layout::squeezed},
      {"backbone.layers.{}.mixer.conv1d.bias", "blk.{}.ssm_conv1d.bias"},
      {"backbone.layers.{}.mixer.x_proj.weight", "blk.{}.ssm_x.weight"},
      {"backbone.layers.{}.mixer.dt_proj.weight", "blk.{}.ssm_dt.weight"},
      {"backbone.layers.{}.mixer.dt_proj.bias", "blk.{}.ssm_dt.bias"},
      {"backbone.layers.{}.mixer.dt_bias", "blk.{}.ssm_dt.bias"},
      {"backbone.layers.{}.mixer.A_log", "blk.{}.ssm_a", Layout::minus_exp},
      {"backbone.layers.{}.mixer.D", "blk.{}.ssm_d"},
      {"backbone.layers.{}.mixer.norm.weight", "blk.{}.ssm_norm.weight"},
      {"backbone.layers.{}.mixer.out_proj.weight", "blk.{}.ssm_out.weight"},
      {"backbone.layers.{}.mixer.out_proj.bias", "blk.{}.ssm_out.bias"},
  };
}

}  // namespace lm
