// The hyper-parameters of a model in one vocabulary, read from GGUF metadata, config.json or a
// llama2.c header. Architectures (models/arch) turn it into a ModelSpec; nothing else reads a
// format's own keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"

namespace lm {

struct RopeScalingConfig {
  std::string type = "none";  // none, linear, llama3
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double original_context = 8192;                        // llama3
};

struct ModelConfig {
  std::string architecture;  // GGUF's general.architecture, or config.json's model_type
  std::string name;          // human name, may be empty
  bool gguf_layout = false;  // q and k rows in the order of interleaved RoPE (GGUF and llama2.c
                             // files of the llama family)
  int64_t hidden_size = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, ffn_size = 0,
          vocab_size = 0;
  int64_t context_length = 0;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  int64_t rope_dim = 0;  // rotated part of a head; head_dim unless the file says less
  RopeScalingConfig rope_scaling;
  std::optional<bool> tie_embeddings;
  std::string activation;  // config.json's name, or empty
  int64_t sliding_window = 0;
};

ModelConfig config_from_gguf(const GgufFile& file);
// `path`: the config.json. Throws bad_file naming missing or wrong fields.
ModelConfig config_from_json(const std::string& path);
ModelConfig config_from_llama2c(const Llama2cHeader& header);

}  // namespace lm
