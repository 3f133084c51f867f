// config.json of a model whose metadata came from a GGUF file: the sizes every family has, what the
// architecture asked for under its names in config.json, and what its description shows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/export/hf_folder.h"
#include "engine/models/rope.h"

namespace lm {

using nlohmann::ordered_json;

namespace {

class ConfigWriter {
 public:
  ConfigWriter(const HfFamily& family, const ModelConfig& config, const ModelSpec& spec,
               const TensorMap& tensors)
      : family_(family), config_(config), spec_(spec), tensors_(tensors) {
    for (const auto& layer : spec.layers)
      for (const Block& block : layer)
        for (const Branch& branch : block.branches)
          if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) attention_.push_back(a);
    for_each_branch(spec, [&](const Branch& branch) {
      if (const auto* s = std::get_if<SsmSpec>(&branch.op); s && ssm_ == nullptr) ssm_ = s;
    });
  }

  std::string text(DType dtype) {
    static constexpr std::pair<DType, const char*> kDtypes[] = {
        {DType::f32, "float32"}, {DType::f16, "float16"}, {DType::bf16, "bfloat16"}};
    j_["architectures"] = {model_class()};
    j_["model_type"] = family_.model_type;
    for (const auto& [type, name] : kDtypes)
      if (type == dtype) j_["torch_dtype"] = name;
    set_sizes();
    set_rope();
    set_state_space();
    set_latent();
    set_encoder();
    set_sequences();
    set_scales();
    set_answers();
    set_attention();
    set_dense_layers();
    for (const char* role : {"bos", "eos", "pad"}) set_token_id(role);
    if (*family_.extra != 0) j_.update(ordered_json::parse(family_.extra));
    return j_.dump(2) + "\n";
  }

 private:
  // A model that scores texts has a class of its own, and one output for each label.
  std::string model_class() {
    std::string name = family_.model_class;
    const auto head = tensors_.find("cls.output.weight");
    if (head == tensors_.end()) return name;
    const auto labels = config_.source->texts("", "classifier.output_labels");
    for (int64_t i = 0; i < head->second.rows(); ++i) {
      const std::string id = std::to_string(i);
      j_["id2label"][id] =
          static_cast<size_t>(i) < labels.size() ? labels[static_cast<size_t>(i)] : "LABEL_" + id;
    }
    for (const char* end : {"ForCausalLM", "Model"})
      if (const size_t at = name.find(end); at != name.npos)
        return name.substr(0, at) + "ForSequenceClassification";
    return name;
  }

  // The name to write of "a|b.c|d": one the family prefers, else the first that is no member of an
  // object.
  std::string chosen(std::string_view names) const {
    std::string first, only;
    const std::string preferred = " " + std::string(family_.names) + " ";
    for (std::string_view left = names; !left.empty();) {
      const size_t bar = left.find('|');
      const std::string name(left.substr(0, bar));
      left.remove_prefix(bar == left.npos ? left.size() : bar + 1);
      if (preferred.find(" " + name + " ") != preferred.npos) return name;
      if (first.empty() && name.find('.') == name.npos) first = name;
    }
    return first;
  }
  template <typename T>
  void set(std::string_view names, T value) {
    j_[chosen(names)] = value;
  }
  bool has(const char* tensor) const { return tensors_.contains(tensor); }

  void set_sizes() {
    set("vocab_size", config_.vocab_size);
    set("hidden_size|n_embd|d_model", config_.hidden_size);
    set("num_hidden_layers|n_layer|num_layers", config_.n_layers);
    if (!attention_.empty()) {
      set("intermediate_size|n_inner|d_ff", config_.ffn_size);
      set("num_attention_heads|n_head|num_heads", config_.n_heads);
      set("max_position_embeddings|n_positions", config_.context_length);
    }
    j_[family_.epsilon] = rounded(config_.norm_eps);
    const std::string_view activation = family_.activation;
    j_[std::string(activation.substr(0, activation.find('=')))] =
        activation.substr(activation.find('=') + 1);
    j_["tie_word_embeddings"] = !has("output.weight");
  }

  // A number that was stored as f32, as short as it was meant: 1e-5 and not 9.99999974e-06.
  static double rounded(double x) { return std::stod(fmt::format("{}", static_cast<float>(x))); }

  void set_rope() {
    if (attention_.empty() || attention_[0]->rope.dim == 0) return;
    const AttentionSpec& a = *attention_[0];
    set("num_key_value_heads", config_.n_kv_heads);
    j_["head_dim"] = a.head_dim;
    j_["rope_theta"] = rounded(config_.rope_theta);
    const std::string_view type = family_.model_type;
    if (a.rope.dim < a.head_dim || type == "gpt_neox" || type == "stablelm")
      j_["partial_rotary_factor"] =
          static_cast<double>(a.rope.dim) / static_cast<double>(a.head_dim);
    if (type == "gpt_neox") j_["rotary_pct"] = j_["partial_rotary_factor"];
    const std::string scaling = hf_rope_scaling(config_, a, tensors_);
    if (scaling.empty()) return;
    j_["rope_scaling"] = ordered_json::parse(scaling);
    // Phi-3 looks for it here.
    const auto original = j_["rope_scaling"].find("original_max_position_embeddings");
    if (type.starts_with("phi")) j_["original_max_position_embeddings"] = *original;
  }

  // Under the names of Falcon-H1 where attention stands beside the state spaces.
  void set_state_space() {
    if (ssm_ == nullptr) return;
    const bool hybrid = !attention_.empty();
    const auto name = [&](const char* alone, const char* beside) {
      return hybrid ? beside : alone;
    };
    const auto expand =
        static_cast<double>(ssm_->inner_size) / static_cast<double>(config_.hidden_size);
    j_[name("intermediate_size", "mamba_d_ssm")] = ssm_->inner_size;
    if (expand == std::floor(expand))
      j_[name("expand", "mamba_expand")] = static_cast<int64_t>(expand);
    else
      LM_CHECK(hybrid, ErrorCode::unsupported, "state spaces of {} channels are no multiple of {}",
               ssm_->inner_size, config_.hidden_size);
    j_[name("state_size", "mamba_d_state")] = ssm_->state_size;
    j_[name("conv_kernel", "mamba_d_conv")] = ssm_->conv_size;
    j_[name("use_conv_bias", "mamba_conv_bias")] = !ssm_->conv_bias.empty();
    j_[name("use_bias", "mamba_proj_bias")] = has("blk.0.ssm_in.bias");
    if (ssm_->per_channel()) {
      j_["time_step_rank"] = ssm_->dt_rank;
      if (ssm_->dt_norm.kind != NormKind::none)
        j_["mixer_rms_eps"] = rounded(static_cast<double>(ssm_->dt_norm.eps));
      return;
    }
    j_[name("num_heads", "mamba_n_heads")] = ssm_->n_heads;
    j_[name("head_dim", "mamba_d_head")] = ssm_->inner_size / ssm_->n_heads;
    j_[name("n_groups", "mamba_n_groups")] = ssm_->n_groups;
    if (hybrid) j_["mamba_rms_norm"] = ssm_->norm.kind != NormKind::none;
  }

  void set_latent() {
    if (attention_.empty() || !attention_[0]->latent) return;
    const AttentionSpec& a = *attention_[0];
    j_["q_lora_rank"] = a.latent->q_rank > 0 ? ordered_json(a.latent->q_rank) : ordered_json();
    j_["kv_lora_rank"] = a.latent->kv_rank;
    j_["qk_rope_head_dim"] = a.rope.dim;
    j_["qk_nope_head_dim"] = a.head_dim - a.rope.dim;
    j_["v_head_dim"] = a.value_dim;
    j_["head_dim"] = a.rope.dim;
    j_["num_key_value_heads"] = a.n_heads;
    j_.erase("partial_rotary_factor");
    int64_t dense = 0;
    while (dense < config_.n_layers &&
           !has(fmt::format("blk.{}.ffn_gate_inp.weight", dense).c_str()))
      ++dense;
    j_["first_k_dense_replace"] = dense;
  }

  // Models that read a text whole.
  void set_encoder() {
    if (spec_.causal() || spec_.encoder) return;
    if (const auto it = tensors_.find("token_types.weight"); it != tensors_.end())
      j_["type_vocab_size"] = it->second.rows();
    const std::string_view type = family_.model_type;
    LM_CHECK(type != "bert" || j_.contains("type_vocab_size"), ErrorCode::unsupported,
             "this BERT has no token types, which Hugging Face's class for it needs");
    if (type == "nomic_bert") j_["head_dim"] = attention_[0]->head_dim;
    if (type != "modernbert") return;
    if (!config_.activation.empty()) j_["hidden_activation"] = config_.activation;
    j_["classifier_pooling"] = spec_.head && spec_.head->pooling == Pooling::cls ? "cls" : "mean";
    j_["classifier_bias"] = has("cls.bias");
    const AttentionSpec *global = nullptr, *local = nullptr;
    for (const AttentionSpec* a : attention_) (a->window > 0 ? local : global) = a;
    const auto theta = [&](const AttentionSpec* a, double fallback) {
      // The second frequency is the base to the power of -2 / dim.
      return a == nullptr || a->rope.frequencies.size() < 2
                 ? fallback
                 : rounded(
                       std::pow(a->rope.frequencies[1], -0.5 * static_cast<double>(a->rope.dim)));
    };
    j_.erase("rope_theta");
    j_["global_rope_theta"] = theta(global, 160000.0);
    j_["local_rope_theta"] = theta(local, 10000.0);
    if (local != nullptr) j_["local_attention"] = 2 * local->window;
  }

  // Encoder-decoder models.
  void set_sequences() {
    if (!spec_.encoder) return;
    j_["d_kv"] = attention_[0]->head_dim;
    j_["scale_decoder_outputs"] = spec_.logit_scale != 1.0f;
    // transformers takes this for whether to scale, and ties where there is no head.
    j_["tie_word_embeddings"] = spec_.logit_scale != 1.0f;
  }

  // Constant factors, which GGUF gives in other words.
  void set_scales() {
    if (std::string_view(family_.model_type) != "granite" || config_.architecture == "granite")
      return;
    for_each_branch(spec_, [](const Branch& branch) {
      LM_CHECK(!std::holds_alternative<MoeSpec>(branch.op), ErrorCode::unsupported,
               "MiniCPM with experts cannot be written as a Hugging Face folder");
    });
    j_["embedding_multiplier"] = rounded(static_cast<double>(spec_.embedding_scale));
    j_["logits_scaling"] = rounded(1.0 / static_cast<double>(spec_.logit_scale));
    j_["residual_multiplier"] = rounded(static_cast<double>(spec_.layers[0][0].branches[0].scale));
    j_["attention_multiplier"] = rounded(static_cast<double>(attention_[0]->scale));
  }

  // What the architecture reads besides: under its name in config.json, unless that is written
  // already.
  void set_answers() {
    using Kind = ConfigSource::Kind;
    const ConfigSource& s = *config_.source;
    for (const auto& q : s.asked()) {
      if (q.hf.empty() || q.gguf.empty() || q.gguf.starts_with("general.") ||
          q.gguf.starts_with("rope.scaling.") || !s.has(q.hf, q.gguf))
        continue;
      const std::string name = chosen(q.hf);
      if (name.empty() || j_.contains(name) || name == "rms_norm_eps" || is_written(q.gguf))
        continue;
      if (q.kind == Kind::integer) j_[name] = *s.integer(q.hf, q.gguf);
      if (q.kind == Kind::real) j_[name] = rounded(*s.real(q.hf, q.gguf));
      if (q.kind == Kind::flag) j_[name] = *s.flag(q.hf, q.gguf);
      if (q.kind == Kind::text) j_[name] = *s.text(q.hf, q.gguf);
    }
    for (const char* name : {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"})
      if (std::string_view(name) != family_.epsilon) j_.erase(name);
  }

  // Keys whose values the functions above write, in other words or under names of the family.
  bool is_written(std::string_view key) const {
    for (const char* start :
         {"attention.sliding_window_pattern", "attention.key_length", "attention.value_length",
          "attention.head_count", "ssm.", "feed_forward_length", "context_length"})
      if (key.starts_with(start)) return true;
    return key == "rope.freq_base" ||
           (config_.architecture == "minicpm" && key.ends_with("_scale"));
  }

  void set_attention() {
    const std::string_view type = family_.model_type;
    const bool qkv_bias = has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias");
    if (type == "stablelm") {
      j_["use_qkv_bias"] = qkv_bias;
      j_["qk_layernorm"] = has("blk.0.attn_q_norm.weight");
    } else if (type != "gpt2") {
      j_["attention_bias"] = qkv_bias;
    }
    if (has("blk.0.ffn_up.bias")) j_["mlp_bias"] = true;
    if (has("output.bias")) j_["lm_head_bias"] = true;
    if (attention_.empty()) return;
    const bool some = std::any_of(attention_.begin(), attention_.end(),
                                  [](const auto* a) { return a->window > 0; });
    const bool all = std::all_of(attention_.begin(), attention_.end(),
                                 [](const auto* a) { return a->window > 0; });
    if (some && !all) {
      ordered_json types = ordered_json::array();
      for (const AttentionSpec* a : attention_)
        types.push_back(a->window > 0 ? "sliding_attention" : "full_attention");
      j_["layer_types"] = types;
    }
    // ModernBERT's class would take it for half of its window.
    if ((!some && type != "qwen2") || type == "modernbert") j_.erase("sliding_window");
    if (type == "gemma2" || type == "gemma3_text")
      j_["query_pre_attn_scalar"] = static_cast<int64_t>(
          std::lround(1.0 / std::pow(static_cast<double>(attention_[0]->scale), 2.0)));
    if (type == "smollm3") {
      ordered_json rotated = ordered_json::array();
      for (const AttentionSpec* a : attention_) rotated.push_back(a->rope.dim > 0 ? 1 : 0);
      j_["no_rope_layers"] = rotated;
    }
  }

  // Layers without experts in a model that has them.
  void set_dense_layers() {
    ordered_json dense = ordered_json::array();
    bool experts = false;
    for (size_t i = 0; i < spec_.layers.size(); ++i)
      for (const Block& block : spec_.layers[i])
        for (const Branch& branch : block.branches) {
          experts = experts || std::holds_alternative<MoeSpec>(branch.op);
          if (std::holds_alternative<MlpSpec>(branch.op)) dense.push_back(i);
        }
    if (experts && !dense.empty()) j_["mlp_only_layers"] = dense;
  }

  // Families have defaults of their own for these: a model without says so, but for NomicBertModel,
  // which needs a number for padding.
  void set_token_id(const std::string& role) {
    const std::string key =
        "tokenizer.ggml." + (role == "pad" ? std::string("padding") : role) + "_token_id";
    const auto id = config_.source->integer("", key);
    const bool known = id && *id >= 0 && *id < config_.vocab_size;
    if (known || std::string_view(family_.model_type) != "nomic_bert")
      j_[role + "_token_id"] = known ? ordered_json(*id) : ordered_json();
  }

  const HfFamily& family_;
  const ModelConfig& config_;
  const ModelSpec& spec_;
  const TensorMap& tensors_;
  std::vector<const AttentionSpec*> attention_;
  const SsmSpec* ssm_ = nullptr;
  ordered_json j_;
};

}  // namespace

std::string hf_config_json(const HfFamily& family, const ModelConfig& config, const ModelSpec& spec,
                           const TensorMap& tensors, DType dtype) {
  return ConfigWriter(family, config, spec, tensors).text(dtype);
}

}  // namespace lm
