// The keys and values of latent attention (DeepSeek-V2): one matrix in Hugging Face's checkpoints,
// [k_nope, v] of head 0, of head 1, ..., from the latent; in GGUF files k_b [heads, latent,
// k_nope], transposed, and v_b [heads, v, latent].
#pragma once

#include <string>

#include "engine/export/export_tensor.h"

namespace lm {

// view: [heads * (nope + v), latent], plain numbers.
ExportTensor latent_k(std::string name, const TensorView& view, int64_t heads, int64_t nope);
ExportTensor latent_v(std::string name, const TensorView& view, int64_t heads, int64_t nope);
// The one matrix, as f32.
ExportTensor latent_joined(std::string name, const TensorView& k, const TensorView& v);

}  // namespace lm
