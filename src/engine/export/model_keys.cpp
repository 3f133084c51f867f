#include "engine/export/model_keys.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/models/rope.h"

namespace lm {
namespace {

// GGUF's numbers for pooling_type.
constexpr int64_t kMean = 1, kCls = 2, kLast = 3, kRank = 4;

class KeyWriter {
 public:
  KeyWriter(const Arch& arch, const ModelConfig& config, const ModelSpec& spec, GgufMetadata* m)
      : arch_(arch), config_(config), spec_(spec), m_(*m) {
    for (size_t i = 0; i < spec.layers.size(); ++i)
      for (const Block& block : spec.layers[i])
        for (const Branch& branch : block.branches) {
          if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) {
            if (a->cross) continue;
            if (attention_ == nullptr || attention_->rope.dim < a->rope.dim) attention_ = a;
            windowed_.push_back(a->window > 0);
          }
          if (const auto* s = std::get_if<SsmSpec>(&branch.op); s && ssm_ == nullptr) ssm_ = s;
          if (std::holds_alternative<MoeSpec>(branch.op) && first_moe_ < 0)
            first_moe_ = static_cast<int64_t>(i);
        }
  }

  void write(const std::string& name) {
    m_.set_string("general.architecture", arch_.name);
    m_.set_string("general.type", "model");
    m_.set_string("general.name", name);
    set_sizes();
    set_attention();
    set_state_space();
    // Only what the architecture read is copied, in the type it was asked as.
    for (const auto& q : config_.source->asked())
      if (!q.gguf.empty() && !q.gguf.starts_with("general.") && !q.gguf.starts_with("ssm."))
        set_answer(q);
    if (first_moe_ > 0) u32("leading_dense_block_count", first_moe_);
    set_scales();
    set_rotation();
    set_encoder();
  }

 private:
  std::string key(std::string_view k) const {
    return std::string(arch_.name) + "." + std::string(k);
  }
  bool has(std::string_view k) const { return m_.contains(key(k)); }
  void u32(std::string_view k, int64_t value) {
    m_.set_u32(key(k), static_cast<uint64_t>(value));
    known_.insert(key(k));
  }
  void f32(std::string_view k, double value) {
    m_.set_f32(key(k), value);
    known_.insert(key(k));
  }

  void set_sizes() {
    u32("vocab_size", config_.vocab_size);
    // Scalings of the rotation are relative to the file's own length.
    const bool scaled = config_.rope_scaling.type != "none";
    u32("context_length", scaled ? config_.context_length : spec_.context_length);
    u32("embedding_length", config_.hidden_size);
    u32("block_count", config_.n_layers);
    // llama.cpp's loader asks models without attention and MLP for these too.
    const bool plain = attention_ != nullptr || ssm_ == nullptr;
    u32("feed_forward_length", plain ? config_.ffn_size : 0);
    u32("attention.head_count", plain ? config_.n_heads : 0);
    if (plain) u32("attention.head_count_kv", config_.n_kv_heads);
    f32("attention.layer_norm_epsilon", config_.norm_eps);
    f32("attention.layer_norm_rms_epsilon", config_.norm_eps);
  }

  void set_attention() {
    if (attention_ == nullptr) return;
    if (!attention_->latent) {
      u32("attention.key_length", attention_->head_dim);
      u32("attention.value_length", attention_->value_dim);
    } else {  // for llama.cpp, one head of keys and values: the latent
      const LatentSpec& l = *attention_->latent;
      u32("attention.head_count_kv", 1);
      u32("attention.key_length", l.kv_rank + attention_->rope.dim);
      u32("attention.value_length", l.kv_rank);
      u32("attention.key_length_mla", attention_->head_dim);
      u32("attention.value_length_mla", attention_->value_dim);
      u32("attention.q_lora_rank", l.q_rank);
    }
    if (attention_->rope.dim > 0) u32("rope.dimension_count", attention_->rope.dim);
  }

  void set_state_space() {
    if (ssm_ == nullptr) return;
    u32("ssm.conv_kernel", ssm_->conv_size);
    u32("ssm.inner_size", ssm_->inner_size);
    u32("ssm.state_size", ssm_->state_size);
    u32("ssm.time_step_rank", ssm_->per_channel() ? ssm_->dt_rank : ssm_->n_heads);
    if (!ssm_->per_channel()) u32("ssm.group_count", ssm_->n_groups);
    if (ssm_->dt_norm.kind != NormKind::none && ssm_->dt_norm.weight.empty())
      m_.set_bool(key("ssm.dt_b_c_rms"), true);
  }

  // Whether the file says rope.scaling.*: not for plain rotation, nor for llama3, whose factors are
  // a tensor.
  bool scaling() const {
    for (const auto& q : config_.source->asked()) {
      if (q.gguf != "rope.scaling.type") continue;
      const std::string type = config_.source->text(q.hf, q.gguf).value_or("none");
      if (type != "none" && type != "default" && type != "llama3") return true;
    }
    return false;
  }

  void set_answer(const ConfigSource::Question& q) {
    using Kind = ConfigSource::Kind;
    if (q.gguf.starts_with("rope.scaling.") && !scaling()) return;
    // llama.cpp would slow the rotation by it, on top of LongRoPE's factors.
    if (q.gguf == "rope.scaling.factor" && config_.rope_scaling.type == "longrope") return;
    if (q.gguf == "attention.sliding_window" && config_.sliding_window == 0 &&
        std::find(windowed_.begin(), windowed_.end(), true) == windowed_.end())
      return;
    if (q.gguf == "attention.sliding_window_pattern") {
      if (const int64_t every = window_pattern(); every > 0) u32(q.gguf, every);
      return;
    }
    const ConfigSource& s = *config_.source;
    const std::string name = key(q.gguf);
    if (q.hf.empty() || known_.contains(name) || !s.has(q.hf, q.gguf)) return;
    if (q.kind == Kind::integer) m_.set_u32(name, static_cast<uint64_t>(*s.integer(q.hf, q.gguf)));
    if (q.kind == Kind::real) m_.set_f32(name, *s.real(q.hf, q.gguf));
    if (q.kind == Kind::flag) m_.set_bool(name, *s.flag(q.hf, q.gguf));
    if (q.kind == Kind::text) m_.set_string(name, *s.text(q.hf, q.gguf));
    if (q.kind == Kind::texts) m_.set_strings(name, s.texts(q.hf, q.gguf));
    if (q.kind != Kind::numbers) return;
    const std::vector<double> x = s.numbers(q.hf, q.gguf);
    if (std::all_of(x.begin(), x.end(), [](double v) { return v == std::floor(v); }))
      m_.set_i32s(name, std::vector<int32_t>(x.begin(), x.end()));
    else
      m_.set_floats(name, std::vector<float>(x.begin(), x.end()));
  }

  // Every n-th layer sees everything, the others have a window: n; 0 when layers do not alternate
  // so. Where the first layer sees everything (ModernBERT), n is counted from it.
  int64_t window_pattern() const {
    const size_t shift = !windowed_.empty() && !windowed_[0] ? 0 : 1;
    for (size_t n = 1; n <= windowed_.size() + 1; ++n) {
      bool fits = true;
      for (size_t i = 0; i < windowed_.size(); ++i)
        fits = fits && windowed_[i] == ((i + shift) % n != 0);
      if (fits) return static_cast<int64_t>(n);
    }
    return 0;
  }

  // Scales that config.json says in other words.
  void set_scales() {
    const auto set = [&](const char* name, float value, float usual) {
      if (value != usual && !has(name)) f32(name, static_cast<double>(value));
    };
    if (spec_.layers.empty() || spec_.layers[0].empty()) return;
    set("residual_scale", spec_.layers[0][0].branches[0].scale, 1.0f);
    if (!spec_.encoder) set("logit_scale", 1.0f / spec_.logit_scale, 1.0f);  // GGUF's divides
    if (attention_ != nullptr && !attention_->latent && attention_->position_bias.empty())
      set("attention.scale", attention_->scale,
          1.0f / std::sqrt(static_cast<float>(attention_->head_dim)));
  }

  void set_rotation() {
    if (attention_ == nullptr || attention_->rope.dim == 0) return;
    if (!has("rope.freq_base")) f32("rope.freq_base", config_.rope_theta);
    const RopeScalingConfig& s = config_.rope_scaling;
    const auto magnitude = static_cast<double>(attention_->rope.magnitude);
    if (s.type == "longrope") f32("rope.scaling.attn_factor", magnitude);
    if (s.type != "yarn") return;
    double factor = magnitude / yarn_magnitude(s.factor, 1.0);
    if (attention_->latent) {
      // llama.cpp multiplies the scores by the square of attn_factor (1 + L log(factor)), L being
      // yarn_log_multiplier, and with L the factor is the whole magnitude.
      const double plain = 1.0 / std::sqrt(static_cast<double>(attention_->head_dim));
      const double scores = std::sqrt(static_cast<double>(attention_->scale) / plain);
      const double root = scores / magnitude;
      if (std::fabs(root - 1.0) > 1e-6 && s.factor > 1.0) {
        f32("rope.scaling.yarn_log_multiplier", (root - 1.0) / std::log(s.factor));
        factor = magnitude;
      }
    }
    if (std::fabs(factor - 1.0) > 1e-6) f32("rope.scaling.attn_factor", factor);
  }

  // Models that read a text whole, and score or embed it.
  void set_encoder() {
    if (spec_.encoder || spec_.output || spec_.causal()) return;
    m_.set_bool(key("attention.causal"), false);
    const auto number = [](Pooling p) {
      return p == Pooling::mean ? kMean : p == Pooling::cls ? kCls : kLast;
    };
    u32("pooling_type", spec_.head ? kRank : number(spec_.pooling));
    if (spec_.head) u32("classifier.pooling_type", number(spec_.head->pooling));
  }

  const Arch& arch_;
  const ModelConfig& config_;
  const ModelSpec& spec_;
  GgufMetadata& m_;
  const AttentionSpec* attention_ = nullptr;
  const SsmSpec* ssm_ = nullptr;
  std::vector<bool> windowed_;  // of each attention
  int64_t first_moe_ = -1;
  std::set<std::string> known_;  // keys whose values came from the description
};

}  // namespace

void set_model_keys(const Arch& arch, const ModelConfig& config, const ModelSpec& spec,
                    const std::string& name, GgufMetadata* metadata) {
  KeyWriter(arch, config, spec, metadata).write(name);
}

}  // namespace lm
