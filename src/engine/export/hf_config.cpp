// config.json of a model whose metadata came from a GGUF file: the sizes every family has, what the
// architecture asked for under its names in config.json, and what its description shows.
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
    j_["num_labels"] = head->second.rows();
    const size_t at = name.find("ForCausalLM");
    return at == name.npos ? name : name.substr(0, at) + "ForSequenceClassification";
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
    set("hidden_size|n_embd", config_.hidden_size);
    set("intermediate_size|n_inner", config_.ffn_size);
    set("num_hidden_layers|n_layer", config_.n_layers);
    set("num_attention_heads|n_head", config_.n_heads);
    set("max_position_embeddings|n_positions", config_.context_length);
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
    const RopeScalingConfig& s = config_.rope_scaling;
    if (s.type == "linear") j_["rope_scaling"] = {{"rope_type", "linear"}, {"factor", s.factor}};
    if (s.type == "yarn")
      j_["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", s.factor},
                            {"original_max_position_embeddings", s.original_context}};
    LM_CHECK(s.type != "longrope" && !has("rope_factors_long.weight"), ErrorCode::unsupported,
             "longrope factors cannot be written as a Hugging Face folder yet");
    if (has("rope_freqs.weight")) j_["rope_scaling"] = llama3_scaling(a);
  }

  // Llama 3's factors say which scaling made them: the published ones are tried.
  ordered_json llama3_scaling(const AttentionSpec& a) const {
    for (const double factor : {8.0, 32.0, 4.0, 16.0, 64.0})
      for (const int64_t original : {8192, 4096, 2048}) {
        RopeScalingConfig s;
        s.type = "llama3";
        s.factor = factor;
        s.original_context = original;
        const RopeSpec r =
            make_rope(a.rope.kind, a.rope.dim, config_.rope_theta, s, config_.context_length);
        bool equal = r.frequencies.size() == a.rope.frequencies.size();
        for (size_t i = 0; equal && i < r.frequencies.size(); ++i)
          equal = std::fabs(r.frequencies[i] / a.rope.frequencies[i] - 1.0) < 1e-4;
        if (equal)
          return {{"rope_type", "llama3"},
                  {"factor", factor},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", original}};
      }
    raise(ErrorCode::unsupported,
          "the factors in rope_freqs.weight are none of Llama 3's published scalings");
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
      if (name.empty() || j_.contains(name) || name == "rms_norm_eps" ||
          q.gguf == "attention.sliding_window_pattern")
        continue;
      if (q.kind == Kind::integer) j_[name] = *s.integer(q.hf, q.gguf);
      if (q.kind == Kind::real) j_[name] = rounded(*s.real(q.hf, q.gguf));
      if (q.kind == Kind::flag) j_[name] = *s.flag(q.hf, q.gguf);
      if (q.kind == Kind::text) j_[name] = *s.text(q.hf, q.gguf);
    }
    for (const char* name : {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"})
      if (std::string_view(name) != family_.epsilon) j_.erase(name);
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
    if (!some && type != "qwen2") j_.erase("sliding_window");
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

  // Families have defaults of their own for these: a model without says so.
  void set_token_id(const std::string& role) {
    const std::string key =
        "tokenizer.ggml." + (role == "pad" ? std::string("padding") : role) + "_token_id";
    const auto id = config_.source->integer("", key);
    j_[role + "_token_id"] =
        id && *id >= 0 && *id < config_.vocab_size ? ordered_json(*id) : ordered_json();
  }

  const HfFamily& family_;
  const ModelConfig& config_;
  const ModelSpec& spec_;
  const TensorMap& tensors_;
  std::vector<const AttentionSpec*> attention_;
  ordered_json j_;
};

}  // namespace

std::string hf_config_json(const HfFamily& family, const ModelConfig& config, const ModelSpec& spec,
                           const TensorMap& tensors, DType dtype) {
  return ConfigWriter(family, config, spec, tensors).text(dtype);
}

}  // namespace lm
