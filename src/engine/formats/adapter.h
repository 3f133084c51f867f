// Low-rank adapters (LoRA, Hu et al. 2021) as PEFT, mlx-lm and llama.cpp store them: W' = W + scale
// * B A for each listed matrix W [out, in], with A [r, in] and B [out, r].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"

namespace lm {

struct AdapterTensor {
  std::string name;  // of W: "model.layers.0.self_attn.q_proj.weight", or GGUF's once resolved
                     // (models/adapter_names.h)
  int64_t rank = 0, in = 0, out = 0;
  std::vector<float> a, b;  // [rank, in] and [out, rank], row-major
  float scale = 1.0f;
};

struct Adapter {
  std::string name;                    // the folder's or file's own
  std::string format;                  // "peft", "mlx", "gguf"
  std::string base;                    // what it was trained on, as far as it says; may be empty
  std::string architecture;            // GGUF's, or empty
  bool gguf_layout = false;            // names and row order are GGUF's
  std::vector<AdapterTensor> tensors;  // sorted by name
  int64_t n_params() const;
};

// path: a folder with adapter_config.json (PEFT: adapter_model.safetensors or .bin; mlx-lm:
// adapters.safetensors), or a GGUF file of general.type "adapter". Throws not_found, io, bad_file
// (tensors without partner, shapes that do not fit), unsupported naming what is not a plain LoRA
// (DoRA, full weights, biases, patterns that are not names).
Adapter open_adapter(const std::string& path);

// The same for parts in memory; `config` is the text of adapter_config.json.
Adapter parse_peft_adapter(std::string_view config, const TensorMap& tensors,
                           const std::string& name);
Adapter parse_mlx_adapter(std::string_view config, const TensorMap& tensors,
                          const std::string& name);
Adapter parse_gguf_adapter(const GgufFile& file, const std::string& name);

}  // namespace lm
