// The tensors of a ModelSpec in the form the CPU kernels read: panels, packed once at load, and
// small f32 vectors.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/kernels/cpu/panels.h"
#include "engine/models/model_spec.h"

namespace lm {

// One or several stacked projections of the same input. parts follow each other in the output.
struct LinearWeights {
  std::vector<std::shared_ptr<const PanelMatrix>> parts;
  std::vector<float> bias;  // [rows] or empty
  int64_t rows = 0, cols = 0;
  bool quantized_input() const;  // some part wants the int8 form of its input
};

struct NormWeights {
  std::vector<float> weight, bias;
};

struct BlockWeights {
  NormWeights norm, q_norm, k_norm;
  LinearWeights in;   // qkv, or gate and up (glu: interleaved panels), or up
  LinearWeights out;  // attention output, or down
  bool glu_fused = false;
};

struct ModelWeights {
  std::shared_ptr<const PanelMatrix>
      embedding;  // null when the lookup reads the file (an output matrix of its own)
  TensorView embedding_view;
  std::vector<float> positions;  // [context, C] or empty
  std::vector<std::vector<BlockWeights>> layers;
  NormWeights final_norm;
  LinearWeights output;
  std::vector<std::shared_ptr<MappedFile>> files;  // kept for embedding_view
  int64_t n_params = 0;
  int64_t packed_bytes = 0;
};

// Packs every tensor the spec names, releasing the file's pages as it goes, so that the weights are
// in memory once. exact: f32 weights whatever the file holds (for comparisons; needs 4 bytes per
// weight). progress(fraction) is called between layers. Throws bad_file naming missing tensors and
// wrong shapes, unsupported for types that cannot be computed with, interrupted.
ModelWeights pack_weights(const ModelSpec& spec, const TensorFile& file, bool exact,
                          const std::function<void(double)>& progress);

// Row `token` of the embedding as floats, [C].
void embedding_row(const ModelWeights& weights, int64_t token, float* out);

}  // namespace lm
