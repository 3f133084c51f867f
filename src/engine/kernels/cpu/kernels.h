// The CPU kernels behind run-time dispatch: one table of functions per instruction set, all with
// the same results up to float rounding; within one table every column count gives bitwise the same
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/core/aligned_buffer.h"
#include "engine/kernels/cpu/panels.h"

namespace lm {

// T activation rows of C floats, and the same rows as integers with one scale per 32, in one or two
// int8 planes: x = d * q with d = amax / 127, or x = d * (256 q + q_low) with d = amax / (127 *
// 256). docs/design/kernels.md says what each costs in time and in accuracy.
struct Activations {
  float* x = nullptr;       // [T, stride], C used
  int8_t* q = nullptr;      // [T, stride], C used; the only or the high plane
  int8_t* q_low = nullptr;  // [T, stride], C used; low plane; null: one plane
  float* d = nullptr;       // [T, C / 32]
  float* dsum = nullptr;    // [T, C / 32]   d * sum
  int32_t* sum = nullptr;   // [T, C / 16]   sum of the integers of 16
  int64_t cols = 0;         // C
  int64_t stride = 0;       // floats (and int8) from one row to the next; at least C

  // The rows from t on.
  Activations from(int64_t t) const {
    const int64_t scale = t * (cols / kQuantBlock), row = t * stride;
    return {x + row,   q + row,      q_low != nullptr ? q_low + row : nullptr,
            d + scale, dsum + scale, sum + 2 * scale,
            cols,      stride};
  }
};

// What happens to a matrix product on its way to memory.
enum class Epilogue : uint8_t { store, add, swiglu, geglu };

struct MatmulArgs {
  const PanelMatrix* w = nullptr;
  const Activations* in = nullptr;
  int64_t panel_begin = 0,
          panel_end = 0;  // swiglu, geglu: even numbers; panels alternate gate and up
  int64_t n_tokens = 0;
  float* out = nullptr;  // [T, ldo]; column r of the output is row r of w (store, add), or r / 2
                         // panels (glu)
  int64_t ldo = 0;
  const float* bias = nullptr;  // [rows] or null
  Epilogue epilogue = Epilogue::store;
};

// How keys and values are kept. int8: one f32 scale for each position of a head, symmetric. int4:
// keys as int8, values in 4 bits with a scale and a minimum for each position of a head.
enum class KvType : uint8_t { f32, f16, bf16, int8, int4 };

inline constexpr int64_t kPageTokens = 32;       // positions in a page of the cache
inline constexpr int64_t kAttentionChunk = 256;  // keys that one call of attention() looks at
inline constexpr int kAttentionRows = 8;

// What the keys of one head, `dim` numbers each, take in a page: blocks of 16 positions
// [2][dim][16]; int8, int4: 32 scales behind them.
constexpr int64_t kv_key_bytes(KvType type, int64_t dim) {
  switch (type) {
    case KvType::f32:
      return kPageTokens * dim * 4;
    case KvType::int8:
    case KvType::int4:
      return kPageTokens * (dim + 4);
    default:
      return kPageTokens * dim * 2;
  }
}
// Bytes of one value of `dim` 4-bit numbers: 16 for each 32, number i in the low half of byte i,
// number i + 16 in its high half.
constexpr int64_t int4_value_bytes(int64_t dim) {
  return (dim + 31) / 32 * 16;
}
// What the values take: [32][dim]; int8: 32 scales behind them; int4: 32 scales, 32 minimums.
constexpr int64_t kv_value_bytes(KvType type, int64_t dim) {
  return type == KvType::int4 ? kPageTokens * (int4_value_bytes(dim) + 8) : kv_key_bytes(type, dim);
}

// Attention of one kv head for query rows that share it, over the keys chunk * kAttentionChunk ..
// + kAttentionChunk - 1 of one sequence. Keys have D = head_dim elements, values DV = value_dim.
struct AttentionArgs {
  const float* const* q = nullptr;          // M rows of D floats, already rotated
  const std::byte* const* pages = nullptr;  // of the sequence
  int64_t k_offset = 0, v_offset = 0;       // of this head's areas in a page
  KvType kv_type = KvType::f16;
  int64_t head_dim = 0;
  int64_t value_dim = 0;
  int64_t m = 0;                       // query rows, at most kAttentionRows
  int64_t chunk = 0;                   // at least one row sees a key of it
  const int64_t* n_keys = nullptr;     // [M] keys 0 .. n_keys-1 are visible to each row
  const int64_t* first_key = nullptr;  // [M] first visible key (sliding windows)
  int64_t n_sink = 0;                  // keys 0 .. n_sink-1 are visible whatever first_key says
  const float* const* bias = nullptr;  // [M] added to the scaled scores, indexed by key; or null
  float scale = 1.0f;
  float softcap = 0.0f;         // 0: none
  float* scores = nullptr;      // scratch: M * kAttentionChunk floats
  float* const* out = nullptr;  // M rows of DV floats: sum of exp(score - largest) * value
  float* largest = nullptr;     // [M] largest visible score (-1e30 when the row sees no key)
  float* sum = nullptr;         // [M] sum of exp(score - largest)
};

// Writes the key (D floats) and the value (DV) of one head at position `slot` of a page.
struct KvStoreArgs {
  const float *k, *v;
  int64_t head_dim, value_dim;
  KvType kv_type;
  int64_t slot;
  std::byte *k_area, *v_area;
};

struct Kernels {
  const char* name;  // "amx", "avx512", "avxvnni", "avx2", "neon_dot", "neon", "scalar"
  // One plane where q_low is null.
  void (*quantize_row)(const float* x, int64_t n, int8_t* q, int8_t* q_low, float* d, float* dsum,
                       int32_t* sum);
  void (*matmul)(const MatmulArgs& args);
  // out = x * w / sqrt(mean(x^2) + eps)            (Zhang & Sennrich 2019)
  void (*rms_norm)(const float* x, const float* w, int64_t n, float eps, float* out);
  // out = (x - mean) / sqrt(var + eps) * w + b     (Ba et al. 2016); b may be null
  void (*layer_norm)(const float* x, const float* w, const float* b, int64_t n, float eps,
                     float* out);
  void (*gelu)(float* x, int64_t n, bool tanh_form);
  // x / (1 + exp(-x)), the numbers that the swiglu epilogue gives
  void (*silu)(float* x, int64_t n);
  // Rotates pairs of one head's vector: (x[i], x[i + n/2]) when half, else (x[2i], x[2i+1]); cos,
  // sin: [n/2]. (Su et al. 2021)
  void (*rope)(float* x, int64_t n, const float* cos, const float* sin, bool half);
  void (*store_kv)(const KvStoreArgs& args);
  void (*attention)(const AttentionArgs& args);
  int64_t (*argmax)(const float* x, int64_t n);  // first index of the largest value
  // x = e^x within 2e-7 of itself, for x up to 88; 0 below -87
  void (*exponentials)(float* x, int64_t n);
};

// The best table this machine can run. LMFAST_KERNELS=NAME forces one (bad_option when it cannot
// run).
const Kernels& kernels();
// All tables this machine can run, best first; for tests and benchmarks.
int n_kernel_tables();
const Kernels& kernel_table(int i);

}  // namespace lm
