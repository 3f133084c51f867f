#include "engine/formats/model_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"

namespace lm {
namespace {

// Sizes come from files: bound them before anything is computed from them.
void check_ranges(const ModelConfig& c, const std::string& where) {
  const auto check = [&](const char* name, int64_t v, int64_t lo, int64_t hi) {
    LM_CHECK(v >= lo && v <= hi, ErrorCode::bad_file, "{}: {} is {}; expected {}..{}", where, name,
             v, lo, hi);
  };
  check("hidden size", c.hidden_size, 1, 1 << 20);
  check("number of layers", c.n_layers, 1, 4096);
  check("number of heads", c.n_heads, 1, 1 << 14);
  check("number of kv heads", c.n_kv_heads, 1, c.n_heads);
  check("head size", c.head_dim, 1, 1 << 14);
  check("feed-forward size", c.ffn_size, 1, int64_t{1} << 24);
  check("vocabulary size", c.vocab_size, 1, int64_t{1} << 26);
  check("context length", c.context_length, 1, int64_t{1} << 31);
  check("rotary size", c.rope_dim, 0, c.head_dim);
  LM_CHECK(c.n_heads % c.n_kv_heads == 0, ErrorCode::bad_file,
           "{}: {} heads cannot share {} kv heads evenly", where, c.n_heads, c.n_kv_heads);
  LM_CHECK(c.rope_dim % 2 == 0, ErrorCode::bad_file, "{}: rotary size {} is odd", where,
           c.rope_dim);
  LM_CHECK(c.norm_eps >= 0 && c.norm_eps < 1, ErrorCode::bad_file,
           "{}: norm epsilon is {}; expected 0..1", where, c.norm_eps);
}

int64_t require(std::optional<int64_t> value, const std::string& key) {
  LM_CHECK(value.has_value(), ErrorCode::bad_file, "GGUF key \"{}\" is missing", key);
  return *value;
}

}  // namespace

ModelConfig config_from_gguf(const GgufFile& f) {
  ModelConfig c;
  const auto arch = f.get_string("general.architecture");
  LM_CHECK(arch.has_value(), ErrorCode::bad_file, "GGUF key \"general.architecture\" is missing");
  c.architecture = *arch;
  c.name = f.get_string("general.name").value_or("");
  c.gguf_layout = true;
  const auto key = [&](const char* k) { return c.architecture + "." + k; };
  const auto required = [&](const char* k) { return require(f.get_int(key(k)), key(k)); };
  c.hidden_size = required("embedding_length");
  c.n_layers = required("block_count");
  c.n_heads = required("attention.head_count");
  c.ffn_size = required("feed_forward_length");
  c.n_kv_heads = f.get_int(key("attention.head_count_kv")).value_or(c.n_heads);
  LM_CHECK(c.n_heads >= 1, ErrorCode::bad_file, "\"{}\" is {}; expected at least 1",
           key("attention.head_count"), c.n_heads);
  c.head_dim = f.get_int(key("attention.key_length")).value_or(c.hidden_size / c.n_heads);
  LM_CHECK(f.get_int(key("attention.value_length")).value_or(c.head_dim) == c.head_dim,
           ErrorCode::unsupported, "keys of {} and values of another size are not supported",
           c.head_dim);
  const TensorView* embedding = f.tensor("token_embd.weight");
  LM_CHECK(embedding && embedding->shape.size() == 2, ErrorCode::bad_file,
           "tensor \"token_embd.weight\" is missing or not a matrix");
  c.vocab_size = embedding->rows();
  c.context_length = f.get_int(key("context_length")).value_or(2048);
  c.norm_eps = f.get_float(key("attention.layer_norm_rms_epsilon"))
                   .value_or(f.get_float(key("attention.layer_norm_epsilon")).value_or(1e-5));
  c.rope_theta = f.get_float(key("rope.freq_base")).value_or(10000.0);
  c.rope_dim = f.get_int(key("rope.dimension_count")).value_or(c.head_dim);
  c.rope_scaling.type = f.get_string(key("rope.scaling.type")).value_or("none");
  c.rope_scaling.factor = f.get_float(key("rope.scaling.factor")).value_or(1.0);
  c.sliding_window = f.get_int(key("attention.sliding_window")).value_or(0);
  check_ranges(c, "GGUF metadata");
  return c;
}

namespace {

// config.json's number under the first of several names.
template <typename T>
std::optional<T> number(const nlohmann::json& j, std::initializer_list<const char*> names,
                        const std::string& path) {
  for (const char* name : names) {
    const auto it = j.find(name);
    if (it == j.end() || it->is_null()) continue;
    LM_CHECK(it->is_number(), ErrorCode::bad_file, "{}: \"{}\" is {}; expected a number", path,
             name, it->dump());
    if constexpr (std::is_integral_v<T>)
      LM_CHECK(it->is_number_integer(), ErrorCode::bad_file,
               "{}: \"{}\" is {}; expected a whole number", path, name, it->dump());
    return it->get<T>();
  }
  return std::nullopt;
}

std::string string_or(const nlohmann::json& j, std::initializer_list<const char*> names,
                      const char* fallback) {
  for (const char* name : names)
    if (const auto it = j.find(name); it != j.end() && it->is_string())
      return it->get<std::string>();
  return fallback;
}

// "rope_scaling" of transformers 4, "rope_parameters" of transformers 5 (which also holds
// rope_theta).
void read_rope(const nlohmann::json& j, const std::string& path, ModelConfig* c) {
  c->rope_theta = number<double>(j, {"rope_theta"}, path).value_or(10000.0);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const auto it = j.find(name);
    if (it == j.end() || !it->is_object()) continue;
    c->rope_theta = number<double>(*it, {"rope_theta"}, path).value_or(c->rope_theta);
    RopeScalingConfig& s = c->rope_scaling;
    s.type = string_or(*it, {"rope_type", "type"}, "none");
    if (s.type == "default") s.type = "none";
    s.factor = number<double>(*it, {"factor"}, path).value_or(1.0);
    s.low_freq_factor = number<double>(*it, {"low_freq_factor"}, path).value_or(1.0);
    s.high_freq_factor = number<double>(*it, {"high_freq_factor"}, path).value_or(4.0);
    s.original_context =
        number<double>(*it, {"original_max_position_embeddings"}, path).value_or(8192);
  }
}

}  // namespace

ModelConfig config_from_json(const std::string& path) {
  const auto j = read_json_file(path);
  LM_CHECK(j.is_object(), ErrorCode::bad_file, "{}: not a JSON object", path);
  ModelConfig c;
  c.architecture = string_or(j, {"model_type"}, "");
  LM_CHECK(!c.architecture.empty(), ErrorCode::bad_file, "{}: \"model_type\" is missing", path);
  const auto required = [&](std::initializer_list<const char*> names) {
    const auto v = number<int64_t>(j, names, path);
    LM_CHECK(v.has_value(), ErrorCode::bad_file, "{}: \"{}\" is missing", path, *names.begin());
    return *v;
  };
  c.hidden_size = required({"hidden_size", "n_embd"});
  c.n_layers = required({"num_hidden_layers", "n_layer"});
  c.n_heads = required({"num_attention_heads", "n_head"});
  c.n_kv_heads = number<int64_t>(j, {"num_key_value_heads"}, path).value_or(c.n_heads);
  LM_CHECK(c.n_heads >= 1, ErrorCode::bad_file, "{}: {} attention heads; expected at least 1", path,
           c.n_heads);
  c.head_dim = number<int64_t>(j, {"head_dim"}, path).value_or(c.hidden_size / c.n_heads);
  c.ffn_size =
      number<int64_t>(j, {"intermediate_size", "n_inner"}, path).value_or(4 * c.hidden_size);
  c.vocab_size = required({"vocab_size"});
  c.context_length =
      number<int64_t>(j, {"max_position_embeddings", "n_positions"}, path).value_or(2048);
  c.norm_eps = number<double>(j, {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"}, path)
                   .value_or(1e-5);
  c.rope_dim = c.head_dim;
  read_rope(j, path, &c);
  if (const auto it = j.find("tie_word_embeddings"); it != j.end() && it->is_boolean())
    c.tie_embeddings = it->get<bool>();
  c.activation = string_or(j, {"hidden_act", "hidden_activation", "activation_function"}, "");
  if (const auto it = j.find("use_sliding_window");
      it == j.end() || !it->is_boolean() || it->get<bool>())
    c.sliding_window = number<int64_t>(j, {"sliding_window"}, path).value_or(0);
  check_ranges(c, path);
  return c;
}

ModelConfig config_from_llama2c(const Llama2cHeader& h) {
  ModelConfig c;
  c.architecture = "llama";
  c.gguf_layout = true;
  c.hidden_size = h.dim;
  c.n_layers = h.n_layers;
  c.n_heads = h.n_heads;
  c.n_kv_heads = h.n_kv_heads;
  c.head_dim = h.dim / h.n_heads;
  c.ffn_size = h.hidden_dim;
  c.vocab_size = h.vocab_size;
  c.context_length = h.seq_len;
  c.rope_dim = c.head_dim;
  c.tie_embeddings = h.shared_classifier;
  check_ranges(c, "llama2.c header");
  return c;
}

}  // namespace lm
