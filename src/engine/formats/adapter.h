// Adapters as PEFT, mlx-lm and llama.cpp store them. For each listed matrix W [out, in]:
// - LoRA (Hu et al. 2021): W' = W + scale * B A, with A [r, in] and B [out, r];
// - DoRA (Liu et al. 2024, arXiv:2402.09353): row i of W + scale * B A gets the length
// magnitude[i];
// - IA3 (Liu et al. 2022, arXiv:2205.05638): the result, bias included, times a vector.
// Or rows before the first token: embeddings (prompt tuning, Lester et al. 2021), or keys and
// values of every layer (prefix tuning, Li & Liang 2021).
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
  std::vector<float> magnitude;  // DoRA: [out]; else empty
  // IA3: of the result [out], or of the input [in] (rank 0, no a and b); else empty. A tensor has
  // one of the two; of the other size only the matrix tells: 0.
  std::vector<float> out_factor, in_factor;
};

// Rows before the first token.
struct VirtualTokens {
  enum class Kind : uint8_t { none, prompt, prefix } kind = Kind::none;
  int64_t n = 0, width = 0;
  // [n, width]. prompt: embeddings, as the layers read them. prefix: for each layer the keys of all
  // heads, as attention reads them (rotated), then the values: width = layers * 2 * heads * size.
  std::vector<float> values;
  int64_t n_layers = 0, n_heads = 0;  // prefix: key-value heads
};

struct Adapter {
  std::string name;                    // the folder's or file's own
  std::string format;                  // "peft", "mlx", "gguf"
  std::string base;                    // what it was trained on, as far as it says; may be empty
  std::string architecture;            // GGUF's, or empty
  bool gguf_layout = false;            // names and row order are GGUF's
  std::vector<AdapterTensor> tensors;  // sorted by name
  VirtualTokens virtual_tokens;
  int64_t n_params() const;
};

// path: a folder with adapter_config.json (PEFT: adapter_model.safetensors or .bin; mlx-lm:
// adapters.safetensors), or a GGUF file of general.type "adapter". Throws not_found, io, bad_file
// (tensors without partner, shapes that do not fit), unsupported naming what is none of the above
// (other methods, full weights, biases, patterns that are not names).
Adapter open_adapter(const std::string& path);

// The same for parts in memory; `config` is the text of adapter_config.json.
Adapter parse_peft_adapter(std::string_view config, const TensorMap& tensors,
                           const std::string& name);
Adapter parse_mlx_adapter(std::string_view config, const TensorMap& tensors,
                          const std::string& name);
Adapter parse_gguf_adapter(const GgufFile& file, const std::string& name);

}  // namespace lm
