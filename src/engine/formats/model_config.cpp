#include "engine/formats/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/core/error.h"

namespace lm {
namespace {

// Sizes come from files: bound them before anything is computed from them.
void check_ranges(const ModelConfig& c) {
  const std::string& where = c.source->where();
  const auto check = [&](const char* name, int64_t v, int64_t lo, int64_t hi) {
    LM_CHECK(v >= lo && v <= hi, ErrorCode::bad_file, "{}: {} is {}; expected {}..{}", where, name,
             v, lo, hi);
  };
  check("hidden size", c.hidden_size, 1, 1 << 20);
  check("number of layers", c.n_layers, 1, 4096);
  check("number of heads", c.n_heads, 1, 1 << 14);
  check("number of kv heads", c.n_kv_heads, 1, c.n_heads);
  check("head size", c.head_dim, 1, 1 << 14);
  check("feed-forward size", c.ffn_size, 0, int64_t{1} << 24);
  check("vocabulary size", c.vocab_size, c.reads_images ? 0 : 1, int64_t{1} << 26);
  check("context length", c.context_length, 1, int64_t{1} << 31);
  check("rotary size", c.rope_dim, 0, c.head_dim);
  LM_CHECK(c.n_heads % c.n_kv_heads == 0, ErrorCode::bad_file,
           "{}: {} heads cannot share {} kv heads evenly", where, c.n_heads, c.n_kv_heads);
  LM_CHECK(c.rope_dim % 2 == 0, ErrorCode::bad_file, "{}: rotary size {} is odd", where,
           c.rope_dim);
  LM_CHECK(c.norm_eps >= 0 && c.norm_eps < 1, ErrorCode::bad_file,
           "{}: norm epsilon is {}; expected 0..1", where, c.norm_eps);
}

// Names in config.json that hold a value under each of the prefixes.
std::string under(const std::vector<std::string>& prefixes, std::string_view names) {
  std::string out;
  for (const std::string& prefix : prefixes)
    for (std::string_view left = names; !left.empty();) {
      const size_t bar = left.find('|');
      if (!out.empty()) out += '|';
      out.append(prefix).append(left.substr(0, bar));
      left.remove_prefix(bar == left.npos ? left.size() : bar + 1);
    }
  return out;
}

const std::vector<std::string> kRopeObjects = {"rope_parameters.", "rope_scaling."};

// What all architectures share. A model without attention (Mamba) has one head.
void read_common(const ConfigSource& s, ModelConfig* c) {
  const auto required = [&](const char* hf, const char* gguf) {
    const auto v = s.integer(hf, gguf);
    LM_CHECK(v.has_value(), ErrorCode::bad_file, "{}: \"{}\" is missing", s.where(),
             c->gguf_layout
                 ? c->architecture + "." + gguf
                 : std::string(std::string_view(hf).substr(0, std::string_view(hf).find('|'))));
    return *v;
  };
  // A scalar, or one number for each layer: then the largest stands for the model.
  const auto largest = [&](const char* hf, const char* gguf, int64_t fallback) {
    const auto list = s.numbers(hf, gguf);
    double most = list.empty() ? static_cast<double>(fallback) : 0.0;
    for (const double v : list) most = std::max(most, v);
    LM_CHECK(most < 9e15 && most == static_cast<double>(static_cast<int64_t>(most)),
             ErrorCode::bad_file, "{}: \"{}\" is {}; expected a whole number", s.where(),
             c->gguf_layout ? gguf : hf, most);
    return static_cast<int64_t>(most);
  };
  c->hidden_size = required("hidden_size|n_embd|d_model|dim", "embedding_length");
  c->reads_images = !c->gguf_layout && s.has("image_size", "") && !s.has("vocab_size", "");
  if (c->vocab_size == 0 && !c->reads_images) c->vocab_size = required("vocab_size", "vocab_size");
  c->n_layers = required("num_hidden_layers|n_layer|num_layers|depth", "block_count");
  constexpr const char* kHeads = "num_attention_heads|n_head|num_heads|heads";
  c->n_heads = largest(kHeads, "attention.head_count", 0);
  LM_CHECK(c->n_heads > 0 || c->gguf_layout || !s.has(kHeads, ""), ErrorCode::bad_file,
           "{}: 0 attention heads; expected at least 1", s.where());
  if (c->n_heads == 0) c->n_heads = 1;
  c->n_kv_heads = largest("num_key_value_heads", "attention.head_count_kv", c->n_heads);
  if (c->n_kv_heads == 0) c->n_kv_heads = c->n_heads;
  c->head_dim = s.integer("head_dim", "attention.key_length").value_or(c->hidden_size / c->n_heads);
  c->ffn_size =
      largest("intermediate_size|n_inner|d_ff|mlp_dim", "feed_forward_length", 4 * c->hidden_size);
  c->context_length =
      s.integer("max_position_embeddings|n_positions|context_length", "context_length")
          .value_or(2048);
  c->norm_eps = s.real("rms_norm_eps|layer_norm_eps|layer_norm_epsilon|norm_eps|norm_epsilon",
                       "attention.layer_norm_rms_epsilon")
                    .value_or(s.real("", "attention.layer_norm_epsilon").value_or(1e-5));
  c->rope_theta = s.real("rope_parameters.rope_theta|rope_theta|rotary_emb_base", "rope.freq_base")
                      .value_or(10000.0);
  const double partial =
      s.real("rope_parameters.partial_rotary_factor|partial_rotary_factor|rotary_pct", "")
          .value_or(1.0);
  LM_CHECK(partial >= 0 && partial <= 1, ErrorCode::bad_file,
           "{}: partial_rotary_factor is {}; expected 0..1", s.where(), partial);
  c->rope_dim = s.integer("", "rope.dimension_count")
                    .value_or(static_cast<int64_t>(static_cast<double>(c->head_dim) * partial));
  c->rope_scaling = read_rope_scaling(s, kRopeObjects);
  c->tie_embeddings = s.flag("tie_word_embeddings", "");
  c->activation = s.text(
                       "hidden_act|hidden_activation|activation_function|activation|"
                       "dense_act_fn",
                       "")
                      .value_or("");
  if (s.flag("use_sliding_window", "").value_or(true))
    c->sliding_window = s.integer("sliding_window", "attention.sliding_window").value_or(0);
  check_ranges(*c);
}

}  // namespace

RopeScalingConfig read_rope_scaling(const ConfigSource& s,
                                    const std::vector<std::string>& prefixes) {
  const auto hf = [&](const char* names) { return under(prefixes, names); };
  RopeScalingConfig r;
  r.type = s.text(hf("rope_type|type"), "rope.scaling.type").value_or("none");
  if (r.type == "default") r.type = "none";
  if (r.type == "su") r.type = "longrope";  // its first name
  r.factor = s.real(hf("factor"), "rope.scaling.factor").value_or(1.0);
  r.original_context =
      s.integer(hf("original_max_position_embeddings") + "|original_max_position_embeddings",
                "rope.scaling.original_context_length")
          .value_or(0);
  r.low_freq_factor = s.real(hf("low_freq_factor"), "").value_or(1.0);
  r.high_freq_factor = s.real(hf("high_freq_factor"), "").value_or(4.0);
  r.beta_fast = s.real(hf("beta_fast"), "rope.scaling.yarn_beta_fast").value_or(32.0);
  r.beta_slow = s.real(hf("beta_slow"), "rope.scaling.yarn_beta_slow").value_or(1.0);
  r.truncate = s.flag(hf("truncate"), "").value_or(true);
  r.mscale = s.real(hf("mscale"), "").value_or(0.0);
  r.mscale_all_dim = s.real(hf("mscale_all_dim"), "").value_or(0.0);
  r.attention_factor = s.real(hf("attention_factor"), "");
  if (const auto factor = s.real("", "rope.scaling.attn_factor")) {
    if (r.type == "yarn")
      r.extra_factor = *factor;
    else
      r.attention_factor = factor;
  }
  r.log_multiplier = s.real("", "rope.scaling.yarn_log_multiplier").value_or(0.0);
  r.short_factor = s.numbers(hf("short_factor"), "");
  r.long_factor = s.numbers(hf("long_factor"), "");
  return r;
}

ModelConfig config_from_gguf(const std::shared_ptr<const GgufFile>& file, int64_t vocab_size) {
  ModelConfig c;
  c.source = gguf_config_source(file);
  c.architecture = *file->get_string("general.architecture");
  c.name = file->get_string("general.name").value_or("");
  c.gguf_layout = true;
  c.vocab_size = vocab_size;
  read_common(*c.source, &c);
  return c;
}

ModelConfig config_from_gguf(const std::shared_ptr<const GgufFile>& file) {
  gguf_config_source(file);  // a file without architecture is no model at all
  const TensorView* embedding = file->tensor("token_embd.weight");
  LM_CHECK(embedding && embedding->shape.size() == 2, ErrorCode::bad_file,
           "tensor \"token_embd.weight\" is missing or not a matrix");
  return config_from_gguf(file, embedding->rows());
}

// How pictures become pixel values, in a file beside config.json.
static std::shared_ptr<const ConfigSource> preprocessor_beside(const std::string& config) {
  const auto folder = std::filesystem::path(config).parent_path();
  if (const auto own = folder / "preprocessor_config.json"; std::filesystem::exists(own))
    return json_config_source(own.string());
  const auto all = folder / "processor_config.json";
  if (!std::filesystem::exists(all)) return nullptr;
  return nested_config_source(json_config_source(all.string()), "image_processor");
}

ModelConfig config_from_json(const std::string& path) {
  ModelConfig c;
  c.source = json_config_source(path);
  c.architecture = c.source->text("model_type", "general.architecture").value_or("");
  LM_CHECK(!c.architecture.empty(), ErrorCode::bad_file, "{}: \"model_type\" is missing", path);
  // Models that see images have a configuration for each of their parts.
  if (c.source->has("text_config.model_type|text_config.hidden_size", ""))
    c.source = nested_config_source(c.source, "text_config");
  read_common(*c.source, &c);
  if (c.reads_images || c.source->has("vision_config.hidden_size|vision_config.image_size", ""))
    c.preprocessor = preprocessor_beside(path);
  return c;
}

ModelConfig config_from_values(const std::string& architecture, bool gguf_layout,
                               const std::string& where,
                               std::vector<std::pair<std::string, ConfigValue>> values) {
  ModelConfig c;
  c.source = listed_config_source(where, std::move(values));
  c.architecture = architecture;
  c.gguf_layout = gguf_layout;
  read_common(*c.source, &c);
  return c;
}

ModelConfig config_from_llama2c(const Llama2cHeader& h) {
  ModelConfig c = config_from_values("llama", true, "llama2.c header",
                                     {{"vocab_size", int64_t{h.vocab_size}},
                                      {"embedding_length", int64_t{h.dim}},
                                      {"block_count", int64_t{h.n_layers}},
                                      {"attention.head_count", int64_t{h.n_heads}},
                                      {"attention.head_count_kv", int64_t{h.n_kv_heads}},
                                      {"feed_forward_length", int64_t{h.hidden_dim}},
                                      {"context_length", int64_t{h.seq_len}}});
  c.tie_embeddings = h.shared_classifier;
  return c;
}

}  // namespace lm
