// A thin layer over vector registers: the kernels are written once against it and compiled for each
// instruction set (vec/<set>.inl). Each set lives in a namespace of its own (LM_ISA), so that the
// linker never mixes them. Every set defines
//   Vec       N floats, N = 1 to 16
//   RowBytes  16 bytes, one for each row of a panel
//   Rows      16 int32, one for each row of a panel
//   RowsF     16 floats, one for each row of a panel
//   Codes     64 code bytes: 4 consecutive k of 16 rows
// Included by table.inl only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "engine/core/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lm::LM_ISA {

#if defined(LM_VEC_AVX512)
#include "engine/kernels/cpu/vec/x86_row_bytes.inl"
// after RowBytes
#include "engine/kernels/cpu/vec/avx512.inl"
#elif defined(LM_VEC_AVX2)
#include "engine/kernels/cpu/vec/x86_row_bytes.inl"
// after RowBytes
#include "engine/kernels/cpu/vec/avx2.inl"
#elif defined(LM_VEC_NEON)
#include "engine/kernels/cpu/vec/neon.inl"
#else
#include "engine/kernels/cpu/vec/scalar.inl"
#endif

// exp(x) for x in [-87, 88], relative error below 2e-7: 2^n * p(r) with r = x - n ln 2 in [-ln2/2,
// ln2/2] (Cody & Waite's split of ln 2, degree-6 Taylor polynomial). Below -87 the result is 0 to
// within 1e-38.
inline Vec exp(Vec x) {
  x = min(max(x, Vec::set(-87.0f)), Vec::set(88.0f));
  const Vec n = round_even(x * Vec::set(1.44269504f));
  Vec r = fma(n, Vec::set(-0.693359375f), x);
  r = fma(n, Vec::set(2.12194440e-4f), r);
  Vec p = Vec::set(1.0f / 720);
  for (const float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = fma(p, r, Vec::set(c));
  return scale2(p, n);
}

}  // namespace lm::LM_ISA
