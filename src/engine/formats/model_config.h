// The hyper-parameters of a model in one vocabulary, read from GGUF metadata, config.json or a
// llama2.c header. Architectures (models/arch) turn it into a ModelSpec and ask `source` for what
// only they know.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/formats/config_source.h"
#include "engine/formats/gguf.h"

namespace lm {

struct RopeScalingConfig {
  std::string type = "none";  // none, linear, dynamic, yarn, llama3, longrope
  double factor = 1.0;
  int64_t original_context = 0;                          // 0: the file does not say
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  bool truncate = true;                                  // yarn: whole dimensions as borders
  double mscale = 0.0, mscale_all_dim = 0.0;             // yarn of DeepSeek; 0: not given
  std::optional<double> attention_factor;                // yarn, longrope
  double extra_factor = 1.0;    // yarn of GGUF files: on top of what the scaling gives
  double log_multiplier = 0.0;  // the same: 0.1 mscale_all_dim of DeepSeek
  std::vector<double> short_factor, long_factor;  // longrope
};

struct ModelConfig {
  std::string architecture;  // GGUF's general.architecture, or config.json's model_type
  std::string name;          // human name, may be empty
  bool gguf_layout = false;  // tensors as GGUF and llama2.c files arrange them, e.g. q and k rows
                             // in the order of interleaved RoPE in the llama family
  int64_t hidden_size = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, ffn_size = 0,
          vocab_size = 0;
  int64_t context_length = 0;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  int64_t rope_dim = 0;  // rotated part of a head; head_dim unless the file says less
  RopeScalingConfig rope_scaling;
  std::optional<bool> tie_embeddings;
  std::string activation;     // config.json's name, or empty
  bool reads_images = false;  // instead of texts; there is no vocabulary
  // preprocessor_config.json of models that see images; null when there is none.
  std::shared_ptr<const ConfigSource> preprocessor;
  int64_t sliding_window = 0;
  std::shared_ptr<const ConfigSource> source;  // never null
};

ModelConfig config_from_gguf(const std::shared_ptr<const GgufFile>& file);
// The same for a file that holds metadata only; vocab_size: rows of the embedding.
ModelConfig config_from_gguf(const std::shared_ptr<const GgufFile>& file, int64_t vocab_size);
// `path`: the config.json. Throws bad_file naming missing or wrong fields.
ModelConfig config_from_json(const std::string& path);
ModelConfig config_from_llama2c(const Llama2cHeader& header);
// From values under GGUF's keys; `where` is used in messages.
ModelConfig config_from_values(const std::string& architecture, bool gguf_layout,
                               const std::string& where,
                               std::vector<std::pair<std::string, ConfigValue>> values);

// The scaling that an object "<prefix>rope_type|type ..." of config.json, or rope.scaling.* of
// GGUF, describes. prefix: "rope_parameters." and the like, with its dot.
RopeScalingConfig read_rope_scaling(const ConfigSource& source,
                                    const std::vector<std::string>& prefixes);

}  // namespace lm
