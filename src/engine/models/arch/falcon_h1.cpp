// Falcon-H1: attention and Mamba 2 side by side in every layer, with a constant factor on almost
// every projection (GGUF files have the factors multiplied into the weights).
#include "engine/core/error.h"
#include "engine/models/llama_like.h"
#include "engine/models/ssm.h"

namespace lm {
namespace {

// In Hugging Face files the five parts of ssm_in have a factor each.
void scale_projections(const ModelConfig& c, ModelSpec* spec) {
  const ConfigSource& s = *c.source;
  const auto factor = [&](const char* name) {
    return static_cast<float>(s.real(name, "").value_or(1.0));
  };
  const auto list = [&](const char* name, size_t n) {
    auto values = s.numbers(name, "");
    LM_CHECK(values.empty() || values.size() == n, ErrorCode::bad_file,
             "{}: {} has {} values; expected {}", s.where(), name, values.size(), n);
    values.resize(n, values.empty() ? 1.0 : 0.0);
    return std::vector<float>(values.begin(), values.end());
  };
  const auto ssm = list("ssm_multipliers", 5), mlp = list("mlp_multipliers", 2);
  spec->embedding_scale = factor("embedding_multiplier");
  spec->logit_scale = factor("lm_head_multiplier");
  for_each_branch(*spec, [&](Branch& branch) {
    if (auto* a = std::get_if<AttentionSpec>(&branch.op)) {
      const float in = factor("attention_in_multiplier");
      for (LinearSpec& linear : a->qkv) linear.scale = in;
      a->qkv[1].scale = in * factor("key_multiplier");
      branch.scale = factor("attention_out_multiplier");
    } else if (auto* m = std::get_if<MlpSpec>(&branch.op)) {
      m->gate.scale = mlp[0];
      m->down.scale = mlp[1];
    } else if (auto* x = std::get_if<SsmSpec>(&branch.op)) {
      const int64_t bc = x->n_groups * x->state_size;
      const int64_t rows[5] = {x->inner_size, x->inner_size, bc, bc, x->n_heads};
      const LinearSpec whole = x->in[0];
      x->in.clear();
      int64_t begin = 0;
      for (size_t i = 0; i < 5; begin += rows[i++]) {
        x->in.push_back(linear_rows(whole, begin, rows[i]));
        x->in.back().scale = factor("ssm_in_multiplier") * ssm[i];
      }
      branch.scale = factor("ssm_out_multiplier");
    }
  });
}

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  const bool before = c.source->flag("mamba_norm_before_gate", "").value_or(!c.gguf_layout);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    SsmSpec ssm = describe_mamba2(c, tensors, static_cast<int64_t>(i));
    ssm.norm_before_gate = before && ssm.norm.kind != NormKind::none;
    // llama.cpp's files leave the end of this name out.
    std::string& norm = spec.layers[i][1].branches[0].norm.weight;
    if (!tensors.contains(norm)) norm = layer_name(static_cast<int64_t>(i), "ffn_norm");
    std::vector<Branch>& branches = spec.layers[i][0].branches;
    branches.push_back({branches[0].norm, std::move(ssm), {}, 1.0f});
  }
  if (!c.gguf_layout) scale_projections(c, &spec);
  return spec;
}

}  // namespace

extern const Arch kArch_falcon_h1;
const Arch kArch_falcon_h1 = {
    "falcon-h1",
    {"falcon_h1"},
    describe,
    with_names(
        {
            {"model.final_layernorm.weight", "output_norm.weight"},
            {"model.layers.{}.pre_ff_layernorm.weight", "blk.{}.ffn_norm"},
            {"model.layers.{}.feed_forward.gate_proj.weight", "blk.{}.ffn_gate.weight"},
            {"model.layers.{}.feed_forward.up_proj.weight", "blk.{}.ffn_up.weight"},
            {"model.layers.{}.feed_forward.down_proj.weight", "blk.{}.ffn_down.weight"},
            {"model.layers.{}.mamba.in_proj.weight", "blk.{}.ssm_in.weight"},
            {"model.layers.{}.mamba.in_proj.bias", "blk.{}.ssm_in.bias"},
            {"model.layers.{}.mamba.conv1d.weight", "blk.{}.ssm_conv1d.weight", Layout::squeezed},
            {"model.layers.{}.mamba.conv1d.bias", "blk.{}.ssm_conv1d.bias"},
            {"model.layers.{}.mamba.dt_bias", "blk.{}.ssm_dt.bias"},
            {"model.layers.{}.mamba.A_log", "blk.{}.ssm_a", Layout::minus_exp},
            {"model.layers.{}.mamba.D", "blk.{}.ssm_d"},
            {"model.layers.{}.mamba.norm.weight", "blk.{}.ssm_norm.weight"},
            {"model.layers.{}.mamba.out_proj.weight", "blk.{}.ssm_out.weight"},
        },
        llama_like_names(false)),
    "Falcon-H1",
    true,
    true};

}  // namespace lm
