#include "engine/models/layout.h"

#include "engine/core/error.h"

namespace lm {

std::vector<int64_t> layout_rows(Layout layout, std::string_view name, int64_t rows,
                                 const ModelConfig& config, bool to_gguf) {
  if (layout != Layout::rope_rows && layout != Layout::fused_heads) return {};
  const bool pairs = layout == Layout::rope_rows;
  const bool is_k = name.find("attn_k.") != std::string_view::npos;
  const int64_t heads = pairs && is_k ? config.n_kv_heads : config.n_heads;
  const int64_t parts = pairs ? 2 : 3;  // the two halves of a head, or q, k and v
  LM_CHECK(rows % (parts * heads) == 0, ErrorCode::bad_file,
           "tensor \"{}\" has {} rows, which cannot be divided among {} heads", name, rows, heads);
  const int64_t size = rows / (parts * heads);  // rows of one part of one head
  std::vector<int64_t> out(static_cast<size_t>(rows));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t part = 0; part < parts; ++part)
      for (int64_t i = 0; i < size; ++i) {
        const int64_t hf = (h * parts + part) * size + i;
        const int64_t gguf =
            pairs ? h * parts * size + i * parts + part : (part * heads + h) * size + i;
        out[static_cast<size_t>(to_gguf ? gguf : hf)] = to_gguf ? hf : gguf;
      }
  return out;
}

}  // namespace lm
