// What DoRA and IA3 add to a linear op, and its plain form.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "engine/train/linear.h"
#include "engine/train/rows.h"

namespace lm::train {
namespace {

// Rows that are worked on at a time where f32 copies are made.
constexpr int64_t kChunk = 512;

// Sums over rows of x * y, [columns] f32.
at::Tensor column_dots(const at::Tensor& x, const at::Tensor& y) {
  at::Tensor out = at::zeros({x.size(1)}, at::kFloat);
  float* sum = out.mutable_data_ptr<float>();
  by_type(x, [&]<typename T>() {
    at::parallel_for(0, x.size(1), 128, [&](int64_t begin, int64_t end) {
      row_kernels<T>(train_kernels())
          .column_dots(rows_of<T>(x), x.stride(0), rows_of<T>(y), y.stride(0), x.size(0), sum,
                       begin, end);
    });
  });
  return out;
}

}  // namespace

at::Tensor Linear::scaled(const at::Tensor& dy) const {
  if (!scale_.defined()) return dy;
  const at::Tensor out = at::empty({dy.size(0), dy.size(1)}, compute_);
  by_type(dy, [&]<typename T>() {
    for_rows(dy.size(0), dy.size(1), [&](int64_t begin, int64_t end) {
      row_kernels<T>(train_kernels())
          .scale_columns(rows_of<T>(dy), dy.stride(0), scale_.const_data_ptr<float>(), dy.size(1),
                         mutable_rows_of<T>(out), out.stride(0), begin, end);
    });
  });
  return out;
}

at::Tensor Linear::result_bias() const {
  return (rank_ == 0 ? bias_ * scale_ : bias_).to(compute_);  // without rank: IA3
}

at::Tensor Linear::frozen_rows(size_t piece) const {
  const Piece& p = pieces_[piece];
  if (frozen_.empty()) return weight_.slice(0, p.out_begin, p.out_begin + p.n_out).slice(1, 0, in_);
  const at::Tensor w = at::empty({p.n_out, in_}, compute_);
  frozen_[piece].write(w);
  return w;
}

at::Tensor Linear::lengths(size_t piece) const {
  const Piece& p = pieces_[piece];
  const at::Tensor w = frozen_rows(piece);
  at::Tensor out = at::empty({p.n_out}, at::kFloat);
  for (int64_t r = 0; r < p.n_out; r += kChunk) {
    const int64_t end = std::min(p.n_out, r + kChunk);
    const at::Tensor sum = at::addmm(w.slice(0, r, end).to(at::kFloat), p.b->value.slice(0, r, end),
                                     p.a->value, 1, p.scale);
    out.slice(0, r, end).copy_(at::linalg_vector_norm(sum, 2, at::IntArrayRef{1}));
  }
  return out.div_(p.spec.scale);
}

void Linear::init_magnitudes() {
  for (size_t i = 0; i < pieces_.size(); ++i)
    if (pieces_[i].magnitude != nullptr) pieces_[i].magnitude->value.copy_(lengths(i));
}

void Linear::refresh_scale() {
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& p = pieces_[i];
    at::Tensor place =
        scale_.defined() ? scale_.slice(0, p.out_begin, p.out_begin + p.n_out) : scale_;
    if (p.factor != nullptr) place.copy_(p.factor->value);
    if (p.magnitude == nullptr) continue;
    at::Tensor all = lengths_.slice(0, p.out_begin, p.out_begin + p.n_out);
    all.copy_(lengths(i));
    place.copy_(p.magnitude->value).div_(all);
  }
}

// dc = sum over tokens of dy * (x' W'^T): the product is made again rather than kept, in pieces
// whose rows fit the caches.
void Linear::scale_grads(const at::Tensor& x, const at::Tensor& dy) const {
  const at::Tensor w = weight();
  for (const Piece& p : pieces_) {
    if (p.magnitude == nullptr && p.factor == nullptr) continue;
    const auto rows = [&](const at::Tensor& v) {
      return v.slice(0, p.out_begin, p.out_begin + p.n_out);
    };
    const at::Tensor d = dy.slice(1, p.out_begin, p.out_begin + p.n_out), w_rows = rows(w);
    at::Tensor sum = at::zeros({p.n_out}, at::kFloat);
    for (int64_t t = 0; t < x.size(0); t += kChunk) {
      const int64_t end = std::min(x.size(0), t + kChunk);
      sum.add_(column_dots(at::mm(x.slice(0, t, end), w_rows.t()), d.slice(0, t, end)));
    }
    if (p.magnitude != nullptr) p.magnitude->grad.add_(sum / rows(lengths_));
    if (p.factor == nullptr) continue;
    p.factor->grad.add_(sum);
    if (bias_.defined()) p.factor->grad.add_(rows(bias_) * d.sum(0, false, at::kFloat));
  }
}

at::Tensor Linear::plain(const at::Tensor& x) const {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& p = pieces_[i];
    const auto part = [&](const at::Tensor& v) {
      return v.slice(0, p.out_begin, p.out_begin + p.n_out);
    };
    const at::Tensor w = p.weight != nullptr ? p.weight->value.to(compute_) : frozen_rows(i);
    at::Tensor y = at::linear(x, w);
    if (p.rank > 0)
      y = y + at::linear(at::linear(x, p.a->value.to(compute_)), p.b->value.to(compute_)) * p.scale;
    if (p.magnitude != nullptr) y = y * (p.magnitude->value / part(lengths_)).to(compute_);
    if (bias_.defined()) y = y + (p.bias != nullptr ? p.bias->value : part(bias_)).to(compute_);
    if (p.factor != nullptr) y = y * p.factor->value.to(compute_);
    parts.push_back(y);
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, -1);
}

}  // namespace lm::train
