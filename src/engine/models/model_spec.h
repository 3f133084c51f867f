// An architecture as data. Every consumer (inference, training, conversion, memory planning)
// interprets this description and never asks for the architecture's name. Tensor names are GGUF's.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace lm {

enum class NormKind : uint8_t { none, rms, layer };
enum class Activation : uint8_t { silu, gelu_tanh, gelu_erf };
// Which elements of a head form a rotated pair: (2i, 2i+1) or (i, i + n/2).
enum class RopeKind : uint8_t { none, interleaved, half };

struct NormSpec {
  NormKind kind = NormKind::none;
  float eps = 1e-5f;
  std::string weight, bias;  // tensor names; empty bias: none
};

struct RopeSpec {
  RopeKind kind = RopeKind::none;
  int64_t dim = 0;                  // rotated elements at the start of a head
  std::vector<double> frequencies;  // [dim / 2] radians per position, scaling included
};

// A matrix product: tensor name and optional bias. The weight is [out, in], or [in, out] when
// transposed.
struct LinearSpec {
  std::string weight, bias;
  bool transposed = false;
};

struct AttentionSpec {
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  std::vector<LinearSpec> qkv;  // one fused projection, or q, k, v
  LinearSpec output;
  NormSpec q_norm, k_norm;  // per head, before RoPE
  RopeSpec rope;
  int64_t window = 0;  // keys visible including itself; 0: all
  float softcap = 0.0f;
  float scale = 1.0f;  // of the scores, usually 1 / sqrt(head_dim)
};

struct MlpSpec {
  bool gated = true;
  Activation activation = Activation::silu;
  int64_t size = 0;
  LinearSpec gate, up, down;  // gate unused when not gated
};

// x += op(norm(x))
struct Block {
  NormSpec norm;
  std::variant<AttentionSpec, MlpSpec> op;
};

struct ModelSpec {
  std::string architecture;
  int64_t hidden_size = 0, vocab_size = 0, context_length = 0;
  LinearSpec embedding;  // token_embd
  float embedding_scale = 1.0f;
  std::string positions;  // learned position table, or empty
  std::vector<std::vector<Block>> layers;
  NormSpec final_norm;
  LinearSpec output;  // the embedding's tensor when tied
  float logit_softcap = 0.0f;
};

// Bytes of keys and values that one position takes, all layers together.
int64_t kv_bytes_per_token(const ModelSpec& spec, bool f16);

}  // namespace lm
