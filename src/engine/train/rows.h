// Tensors as rows for the kernels.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <bit>

#include "engine/core/error.h"
#include "engine/train/kernels/train_kernels.h"

namespace lm::train {

template <typename T>
const T* rows_of(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <typename T>
T* mutable_rows_of(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

inline float load_element(float x) {
  return x;
}
inline float load_element(Bf16 x) {
  return std::bit_cast<float>(uint32_t{x.bits} << 16);
}

// Calls f.operator()<T>() with the kernels' name of the tensor's type. Throws internal for others.
template <typename F>
void by_type(const at::Tensor& x, F&& f) {
  if (x.scalar_type() == at::kFloat) return f.template operator()<float>();
  LM_CHECK(x.scalar_type() == at::kBFloat16, ErrorCode::internal,
           "training kernels: no such element type");
  f.template operator()<Bf16>();
}

// f(begin, end) over all rows, shared out so that each thread has some work.
template <typename F>
void for_rows(int64_t rows, int64_t width, F&& f) {
  at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)), f);
}

}  // namespace lm::train
