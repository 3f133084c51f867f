// The tensors of a ModelSpec in the form the CPU kernels read: panels, packed once at load, and
// small f32 vectors.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/kernels/cpu/panels.h"
#include "engine/models/model_spec.h"

namespace lm {

// One or several stacked projections of the same input.
struct LinearWeights {
  // What one projection covers, for adapters: its tensor and its rows of the output.
  struct Source {
    std::string tensor;
    int64_t row_begin = 0, n_rows = 0;  // in the output
    int64_t tensor_row = 0;             // first row of the tensor
  };
  // They follow each other in the output. interleaved: one part of alternating panels of two
  // sources (gate 0, up 0, gate 1, ...), so that one thread has both halves of a gated unit.
  std::vector<std::shared_ptr<const PanelMatrix>> parts;
  std::vector<Source> sources;
  std::vector<float> bias;   // [rows] or empty
  std::vector<float> scale;  // [rows] of the product, or empty
  int64_t rows = 0, cols = 0;
  bool interleaved = false;
  bool quantized_input() const;  // some part wants the int8 form of its input
};

struct NormWeights {
  std::vector<float> weight, bias;  // empty: ones, zeros
};

struct AttentionWeights {
  NormWeights q_norm, k_norm;
  NormWeights result_norm;
  LinearWeights qkv, output;
  LinearWeights kv;                    // cross-attention
  std::vector<float> position_bias;    // [heads, buckets]
  LinearWeights q_a, q_b, kv_a, kv_b;  // latent
  NormWeights q_a_norm, kv_a_norm;     // latent
};

struct MlpWeights {
  LinearWeights in;  // gate and up (interleaved where possible), or up
  LinearWeights out;
};

struct MoeWeights {
  LinearWeights gate, shared_gate;
  std::vector<float> choice_bias;
  std::vector<MlpWeights> experts;
  MlpWeights shared;
};

struct SsmWeights {
  LinearWeights in, low, dt, output;
  std::vector<float> conv, conv_bias;  // [conv_size, channels], [channels]
  std::vector<float> a, d, dt_bias;    // a: [heads, state] or [heads]; negative
  NormWeights dt_norm, b_norm, c_norm, norm;
};

struct TimeMixWeights {
  std::vector<float> mix_r, mix_w, mix_k, mix_v, mix_a, mix_g;  // share of this token, [C]
  LinearWeights receptance, key, value, gate, output;
  std::vector<float> decay, bonus;
  LinearWeights w1, w2, a1, a2, v1, v2, g1, g2;
  std::vector<float> w0, a0, v0, k_k, k_a, r_k;
  NormWeights norm;
};

struct ChannelMixWeights {
  std::vector<float> mix_k, mix_r;
  LinearWeights key, value, receptance;
};

using OpWeights = std::variant<AttentionWeights, MlpWeights, MoeWeights, SsmWeights, TimeMixWeights,
                               ChannelMixWeights>;

struct BranchWeights {
  NormWeights norm, post_norm;
  OpWeights op;  // the alternative of the same place in Op
};

struct BlockWeights {
  std::vector<BranchWeights> branches;
  NormWeights out_norm;
};

struct HeadWeights {
  std::vector<float> dense, dense_bias;  // [D, C]
  NormWeights norm;
  std::vector<float> output, output_bias;  // [labels, D]
  int64_t n_labels = 0;
};

struct ImageWeights {
  LinearWeights patch, projector;
  std::vector<float> class_token;  // [C] or empty
};

// How numbers are kept and multiplied. fast: weights in the file's types, activations in one or two
// int8 planes; high: in two everywhere; exact: f32 throughout (4 bytes of memory per weight).
enum class Precision : uint8_t { fast, high, exact };

struct ModelWeights {
  Precision precision = Precision::fast;
  std::shared_ptr<const PanelMatrix>
      embedding;  // null when the lookup reads the file (an output matrix of its own)
  TensorView embedding_view;
  std::vector<float> positions;    // [positions, C] or empty
  std::vector<float> token_types;  // [types, C] or empty
  std::vector<float> meta_tokens;  // [n_meta, C] or empty
  NormWeights embedding_norm;
  std::vector<std::vector<BlockWeights>> layers;
  NormWeights final_norm;
  LinearWeights output;
  HeadWeights head;
  ImageWeights image;
  std::shared_ptr<const ModelWeights> encoder, vision;
  std::vector<std::shared_ptr<MappedFile>> files;  // kept for embedding_view
  int64_t n_params = 0;
  int64_t packed_bytes = 0;
};

// Packs every tensor the spec names, releasing the file's pages as it goes, so that the weights are
// in memory once. progress(fraction) is called between layers. Throws bad_file naming missing
// tensors and wrong shapes, unsupported for types that cannot be computed with, interrupted.
// measure: only to know packed_bytes and n_params; the matrices stay empty.
ModelWeights pack_weights(const ModelSpec& spec, const TensorFile& file, Precision precision,
                          const std::function<void(double)>& progress, bool measure = false);

// Row `token` of the embedding as floats, [C].
void embedding_row(const ModelWeights& weights, int64_t token, float* out);

}  // namespace lm
