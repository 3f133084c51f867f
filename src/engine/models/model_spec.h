// An architecture as data. Every consumer (inference, training, conversion, memory planning)
// interprets this description and never asks for the architecture's name. Tensor names are GGUF's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/formats/image.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {

enum class NormKind : uint8_t { none, rms, layer };
enum class Activation : uint8_t { silu, gelu_tanh, gelu_erf, relu, relu_squared, quick_gelu, tanh };
// Which elements of a head form a rotated pair: (2i, 2i+1) or (i, i + n/2).
enum class RopeKind : uint8_t { none, interleaved, half };

struct NormSpec {
  NormKind kind = NormKind::none;
  float eps = 1e-5f;
  std::string weight, bias;  // tensor names; empty: none (a norm without weight multiplies by 1)
  float offset = 0.0f;       // added to the stored weight (Gemma's checkpoints store w - 1)
};

struct RopeSpec {
  RopeKind kind = RopeKind::none;
  int64_t dim = 0, offset = 0;      // rotated elements of a head: offset .. offset + dim - 1
  std::vector<double> frequencies;  // [dim / 2] radians per position, scaling included
  float magnitude = 1.0f;           // cos and sin are multiplied by it (YaRN, LongRoPE)
  // When a sequence grows beyond `limit` tokens (0: never), its new positions turn differently:
  int64_t limit = 0;
  std::vector<double> long_frequencies;  // by these (LongRoPE), or, when empty,
  double ntk_base = 0, ntk_factor = 1;   // by a base that grows with the length (dynamic NTK)
};

// A matrix product: tensor name and optional bias. The weight is [out, in], or [in, out] when
// transposed.
struct LinearSpec {
  std::string weight, bias;
  bool transposed = false;
  int64_t row_begin = 0, n_rows = -1;  // a part of the tensor's rows (-1: all); 3-D tensors count
                                       // as [d0 * d1, in], or, transposed, as d0 matrices [in, d2]
                                       // of which it is one. The bias is cut the same way
  float scale = 1.0f;                  // of the product, before the bias
};

// Keys and values from a low-rank latent (DeepSeek-V2, arXiv:2405.04434): q = q_b(norm(q_a(x))) or
// q(x); [c, k_pe] = kv_a(x); [k_nope, v] per head = kv_b(norm(c)); k = [k_nope, rope(k_pe)].
struct LatentSpec {
  std::optional<LinearSpec> q_a;  // with q_norm
  NormSpec q_norm;
  LinearSpec q_b;  // or q itself
  int64_t q_rank = 0;
  LinearSpec kv_a;
  NormSpec kv_norm;
  std::vector<LinearSpec> kv_b;  // one, or k_nope and v of every head in turn
  int64_t kv_rank = 0;
};

struct AttentionSpec {
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t head_dim = 0, value_dim = 0;
  std::vector<LinearSpec> qkv;       // one fused projection, or q, k, v; cross-attention: q
  bool fused_by_head = false;        // the fused projection's rows are [q k v] of head 0, of head
                                     // 1, ... instead of all q, all k, all v
  std::optional<LatentSpec> latent;  // instead of qkv
  LinearSpec output;
  NormSpec q_norm, k_norm;  // before RoPE; the weight has head_dim values, or one for each element
                            // of all heads
  bool norm_whole = false;  // q_norm and k_norm run over all heads together (OLMo 2)
  NormSpec result_norm;     // of the results of all heads together, before output
  RopeSpec rope;
  bool causal = true;
  int64_t window = 0;    // causal: keys visible including itself; else keys on each side. 0: all
  int64_t n_sink = 0;    // the first positions stay visible whatever the window (meta tokens)
  float softcap = 0.0f;  // 0: none
  float scale = 1.0f;    // of the scores, usually 1 / sqrt(head_dim)
  int64_t kv_from = -1;  // keys and values of an earlier layer's attention are used; qkv holds q
  bool cross = false;    // keys and values come from the encoder's output; kv holds k and v
  std::vector<LinearSpec> kv;
  std::string position_bias;           // [buckets, heads] or [heads, buckets]: T5's relative bias
  bool position_bias_by_head = false;  // the table is [heads, buckets]
  int64_t n_buckets = 0, max_distance = 0;
};

struct MlpSpec {
  bool gated = true;
  Activation activation = Activation::silu;
  int64_t size = 0;
  LinearSpec gate, up, down;  // gate unused when not gated
};

// How an expert's weight comes from the router's scores.
enum class RouterKind : uint8_t {
  softmax,      // softmax over all experts, then the best
  sigmoid,      // sigmoid of each, then the best (choice_bias added for the choice only)
  sparsemixer,  // softmax over the experts near the best one, twice (arXiv:2409.12136)
};

struct MoeSpec {
  RouterKind router = RouterKind::softmax;
  LinearSpec gate;  // [experts, hidden]
  int64_t n_used = 0;
  bool renormalize = false;                 // the chosen weights are divided by their sum
  float scale = 1.0f;                       // of the chosen weights
  std::string choice_bias;                  // [experts] or empty
  int64_t n_groups = 0, n_groups_used = 0;  // the best groups are chosen first; 0: no groups
  float jitter = 0.0f;                      // sparsemixer: width of "near"
  std::vector<MlpSpec> experts;
  std::optional<MlpSpec> shared;          // runs for every token
  std::optional<LinearSpec> shared_gate;  // [1, hidden]: sigmoid of it scales the shared expert
};

// Selective state spaces: Mamba (Gu & Dao 2023) and Mamba 2 (Dao & Gu 2024). Channels form heads
// (Mamba: heads of one channel), heads share B and C in groups. For each token
//   state[h, p, s] = exp(dt[h] a[h, s]) state[h, p, s] + dt[h] B[g, s] x[h, p]
//   y[h, p] = sum_s C[g, s] state[h, p, s] + D[h] x[h, p]
struct SsmSpec {
  int64_t inner_size = 0, state_size = 0, n_heads = 0, n_groups = 1, conv_size = 0;
  // Mamba: x, z (or one fused). Mamba 2: z, x, B, C, dt (or one fused).
  std::vector<LinearSpec> in;
  std::string conv_weight,
      conv_bias;  // [channels, conv_size], over x (Mamba 2: x, B, C), then SiLU
  // Mamba: [dt, B, C] = low(x) with norms, dt = dt(...) per channel. Unused in Mamba 2.
  int64_t dt_rank = 0;
  LinearSpec low, dt;
  NormSpec dt_norm, b_norm, c_norm;
  std::string a, d, dt_bias;  // a: [heads, state] (Mamba) or [heads]; d: [heads]; dt_bias: Mamba 2
  bool a_is_log = false;      // the file has log(-a)
  float dt_min = 0.0f, dt_max = 0.0f;  // Mamba 2: limits of dt after softplus; 0: none
  NormSpec norm;                       // of y silu(z), in norm_groups parts
  int64_t norm_groups = 1;
  bool norm_before_gate = false;  // norm(y) silu(z) instead of norm(y silu(z))
  LinearSpec output;
  bool per_channel() const { return dt_rank > 0; }
  int64_t channels() const {
    return per_channel() ? inner_size : inner_size + 2 * n_groups * state_size;
  }
};

// How much of this token and of the one before goes into an input of RWKV: in[c] = m[c] x[c] + (1 -
// m[c]) previous[c]. Tensors of [C], or parts of a fused one.
struct ShiftMixSpec {
  std::string tensor;
  int64_t part = 0;          // of a fused tensor [parts, C]
  bool of_previous = false;  // the file has 1 - m (RWKV 7)
};

// RWKV's linear attention: versions 4 (arXiv:2305.13048), 5.2 (arXiv:2404.05892) and 7
// (arXiv:2503.14456). Versions 5 and 7 keep a matrix [head_size, head_size] for each head.
struct TimeMixSpec {
  int version = 4;
  int64_t n_heads = 1, head_size = 0;
  ShiftMixSpec mix_r, mix_w, mix_k, mix_v, mix_a, mix_g;
  LinearSpec receptance, key, value, gate, output;  // gate: version 5
  std::string decay, bonus;                         // [C]: versions 4 and 5
  bool decay_is_log = false;                        // the file has w of -exp(w) or exp(-exp(w))
  // Version 7: low-rank functions f2(act(f1(x))) of decay, in-context learning rate, value residual
  // (not in the first layer) and gate; their sizes are the file's.
  LinearSpec w1, w2, a1, a2, v1, v2, g1, g2;
  std::string w0, a0, v0, k_k, k_a, r_k;
  NormSpec norm;  // of each head of the result: versions 5 and 7
  bool first_layer = false;
};

// RWKV's feed-forward block: sigmoid(R in_r) * V relu(K in_k)^2; without receptance in version 7.
struct ChannelMixSpec {
  int64_t size = 0;
  ShiftMixSpec mix_k, mix_r;
  LinearSpec key, value;
  std::optional<LinearSpec> receptance;
};

using Op = std::variant<AttentionSpec, MlpSpec, MoeSpec, SsmSpec, TimeMixSpec, ChannelMixSpec>;

// Floats that an op remembers between tokens, beside keys and values.
int64_t state_floats(const Op& op, int64_t hidden);

// scale * post_norm(op(norm(x)))
struct Branch {
  NormSpec norm;
  Op op;
  NormSpec post_norm;
  float scale = 1.0f;
};

// x = out_norm(x + sum of the branches)
struct Block {
  std::vector<Branch> branches;
  NormSpec out_norm;
};

// How the hidden states of a text become one vector.
enum class Pooling : uint8_t { mean, cls, last };

// Scores of a text, a pair of texts or an image (rerankers, classifiers):
// output(norm(activation(dense(v)))) of the pooled vector v.
struct HeadSpec {
  Pooling pooling = Pooling::cls;
  std::optional<LinearSpec> dense;  // [D, C]; without it D is C
  Activation activation = Activation::tanh;
  NormSpec norm;
  LinearSpec output;                // [labels, D]
  std::vector<std::string> labels;  // their names; empty: numbers from 0
};

// How a picture becomes pixel values; Hugging Face's preprocessor_config.json.
struct ImagePreprocessSpec {
  Resample filter = Resample::bilinear;
  double rescale = 1.0 / 255;
  std::vector<double> mean, std;  // of each channel: (value * rescale - mean) / std
  // Tiles (Idefics3): the longest side is first made this long, then both sides multiples of the
  // model's image size, whose tiles the model sees, and after them the whole picture. 0: the model
  // sees the picture squeezed to its image size.
  int64_t longest_edge = 0;
  bool tiles = false;  // with longest_edge: else the whole picture only
};

// How an image becomes the vectors that the blocks read (Dosovitskiy et al. 2020,
// arXiv:2010.11929): square patches in rows, each a vector by a matrix, an extra vector before them
// for the whole image.
struct ImageInputSpec {
  int64_t image_size = 0, patch_size = 0, n_channels = 3;  // pixels of a side; a divisor of it
  LinearSpec patch;  // [C, channels * patch * patch], values in the order channel, row, column
  std::string class_token;  // [C], or empty
  // For a text model: `merge` x `merge` neighbours become one row (pixel shuffle), then a matrix
  // [text hidden size, C * merge * merge].
  int64_t merge = 1;
  std::optional<LinearSpec> projector;
  int64_t projected_size = 0;
  ImagePreprocessSpec preprocess;
  // In the text, around the image tokens of a tile and before those of the whole picture.
  std::string around_text, whole_text;
  int64_t n_patches() const { return image_size / patch_size * (image_size / patch_size); }
  int64_t n_tokens() const { return n_patches() + (class_token.empty() ? 0 : 1); }
  int64_t patch_values() const { return n_channels * patch_size * patch_size; }
  int64_t n_rows() const { return n_patches() / (merge * merge); }  // for the text model
};

struct ModelSpec {
  std::string architecture;
  int64_t hidden_size = 0, vocab_size = 0, context_length = 0;
  LinearSpec embedding;  // token_embd; none in models that read images only
  float embedding_scale = 1.0f;
  std::string positions;        // learned position table, or empty
  int64_t position_offset = 0;  // row of the first position in it (RoBERTa: 2)
  std::string token_types;      // table of token types, or empty
  // Learned embeddings [n_meta, C] that come before every text, as its positions 0 .. n_meta - 1
  // (Hymba). They count neither as tokens nor in context_length.
  std::string meta_tokens;
  int64_t n_meta = 0;
  NormSpec embedding_norm;
  std::vector<std::vector<Block>> layers;
  NormSpec final_norm;
  std::optional<LinearSpec> output;  // to the vocabulary; the embedding's tensor when tied. None
                                     // for encoders
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;
  Pooling pooling = Pooling::last;  // of embeddings, unless the caller wishes another
  bool normalize = true;            // embeddings have length 1
  std::optional<HeadSpec> head;
  // Encoder-decoder models: this description is the decoder's, whose cross-attentions read the
  // encoder's hidden states; a text begins with decoder_start.
  std::shared_ptr<const ModelSpec> encoder;
  int32_t decoder_start = -1;
  std::optional<ImageInputSpec> image;  // reads an image instead of a text; vocab_size is 0
  // A text model that sees images: the tower that makes rows of them, which stand where the text
  // has image_token.
  std::shared_ptr<const ModelSpec> vision;
  int32_t image_token = -1;
  bool recurrent() const;  // some op has a state, which cannot be cut back to an earlier token
  // Up to this length of the text no rotation depends on it.
  int64_t fixed_rope_length() const;
  bool causal() const;  // every attention is causal: evaluation can go on where it stopped
};

// "f32", "f16", "bf16", "int8" or "int4".
KvType kv_type_of(const std::string& name);
// Bytes of keys and values that one position takes, all layers together.
int64_t kv_bytes_per_token(const ModelSpec& spec, KvType type);

// The frequencies of a sequence of `length` tokens.
std::vector<double> rope_at(const RopeSpec& rope, int64_t length);

// Calls f(branch) for every branch of every block of a ModelSpec (const or not).
template <typename Spec, typename F>
void for_each_branch(Spec& spec, F&& f) {
  for (auto& layer : spec.layers)
    for (auto& block : layer)
      for (auto& branch : block.branches) f(branch);
}

}  // namespace lm
