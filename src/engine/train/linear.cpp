#include "engine/train/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include "engine/core/error.h"

namespace lm::train {

void Linear::join_parts(std::vector<LinearSpec>* specs, std::vector<int64_t>* rows) {
  for (size_t i = 1; i < specs->size();) {
    LinearSpec& before = (*specs)[i - 1];
    const LinearSpec& one = (*specs)[i];
    if (one.weight != before.weight || one.n_rows < 0 || before.n_rows < 0 ||
        one.row_begin != before.row_begin + before.n_rows || one.scale != before.scale) {
      ++i;
      continue;
    }
    before.n_rows += one.n_rows;
    (*rows)[i - 1] += (*rows)[i];
    specs->erase(specs->begin() + static_cast<std::ptrdiff_t>(i));
    rows->erase(rows->begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void Linear::build(const std::vector<LinearSpec>& specs, const std::vector<int64_t>& rows,
                   int64_t in, const TensorReader& reader, at::ScalarType compute,
                   ParameterSet* parameters, const std::vector<Role>& roles) {
  in_ = in;
  compute_ = compute;
  bool any_bias = false;
  for (size_t i = 0; i < specs.size(); ++i) {
    Piece piece;
    piece.spec = specs[i];
    piece.name = specs[i].weight;
    if (specs[i].row_begin > 0) piece.name += "#" + std::to_string(specs[i].row_begin);
    piece.out_begin = out_;
    piece.n_out = rows[i];
    piece.u_begin = rank_;
    piece.rank = roles[i].lora.rank;
    piece.scale = roles[i].lora.scale * specs[i].scale;
    out_ += rows[i];
    rank_ += piece.rank;
    trained_ |= roles[i].trained;
    any_bias |= !specs[i].bias.empty();
    pieces_.push_back(piece);
  }
  // In f32 a trained weight is its own computing copy.
  const bool own = trained_ && rank_ == 0 && compute == at::kFloat;
  const bool quantised = roles[0].quantize != Quantize::none && !trained_;
  weight_ = at::zeros({out_, quantised ? rank_ : in_ + rank_}, compute);
  if (any_bias) bias_ = at::zeros({out_}, at::kFloat);
  for (size_t i = 0; i < specs.size(); ++i) {
    Piece& p = pieces_[i];
    at::Tensor w = reader.matrix(specs[i], p.n_out, in_);
    if (p.rank > 0 && roles[i].lora.start) p.start = roles[i].lora.start(w, p.name);
    if (specs[i].scale != 1.0f) w.mul_(specs[i].scale);
    const at::Tensor place = weight_.slice(0, p.out_begin, p.out_begin + p.n_out);
    if (quantised)
      frozen_.emplace_back(w, roles[i].quantize);
    else
      place.slice(1, 0, in_).copy_(w);
    if (roles[i].trained)
      p.weight = own ? parameters->adopt(p.name, place, true) : parameters->add(p.name, w, true);
    LM_CHECK(!roles[i].trained || specs[i].scale == 1.0f, ErrorCode::unsupported,
             "tensor \"{}\" has a constant factor; it can be trained with an adapter only", p.name);
    if (!specs[i].bias.empty()) {
      const at::Tensor b = reader.bias(specs[i], p.n_out);
      const at::Tensor at_b = bias_.slice(0, p.out_begin, p.out_begin + p.n_out);
      at_b.copy_(b);
      if (roles[i].trained) p.bias = parameters->adopt(specs[i].bias, at_b, false);
    }
    if (p.rank > 0) {
      p.a = parameters->add(p.name + ".lora_a", at::zeros({p.rank, in_}), true);
      p.b = parameters->add(p.name + ".lora_b", at::zeros({p.n_out, p.rank}), true);
    }
    if (p.rank > 0 && roles[i].lora.dora)
      p.magnitude = parameters->add(p.name + ".magnitude", at::ones({p.n_out}), false);
    if (roles[i].ia3) p.factor = parameters->add(p.name + ".ia3", at::ones({p.n_out}), false);
    if (p.magnitude != nullptr || p.factor != nullptr) scale_ = at::ones({out_}, at::kFloat);
  }
  if (scale_.defined()) lengths_ = at::ones({out_}, at::kFloat);
  if (rank_ > 0) a_ = at::zeros({rank_, in_}, compute);
  if (bias_.defined() && compute != at::kFloat && !trained_) bias_ = bias_.to(compute);
}

at::Tensor Linear::weight() const {
  if (frozen_.empty()) return weight_;
  at::Tensor w = at::empty({out_, in_ + rank_}, compute_);
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& p = pieces_[i];
    frozen_[i].write(w.slice(0, p.out_begin, p.out_begin + p.n_out).slice(1, 0, in_));
  }
  if (rank_ > 0) w.slice(1, in_).copy_(weight_);
  return w;
}

int64_t Linear::weight_bytes() const {
  if (frozen_.empty()) return 0;
  return out_ * (in_ + rank_) * static_cast<int64_t>(c10::elementSize(compute_));
}

at::Tensor Linear::b_columns() const {
  return frozen_.empty() ? weight_.slice(1, in_) : weight_;
}

void Linear::refresh() {
  for (const Piece& p : pieces_) {
    const at::Tensor place = weight_.slice(0, p.out_begin, p.out_begin + p.n_out);
    if (p.weight != nullptr && p.weight->value.const_data_ptr() != place.const_data_ptr())
      place.slice(1, 0, in_).copy_(p.weight->value);
    if (p.rank == 0) continue;
    a_.slice(0, p.u_begin, p.u_begin + p.rank).copy_(p.a->value);
    at::Tensor columns = b_columns()
                             .slice(0, p.out_begin, p.out_begin + p.n_out)
                             .slice(1, p.u_begin, p.u_begin + p.rank);
    if (compute_ == at::kFloat)
      columns.copy_(p.b->value).mul_(p.scale);
    else
      columns.copy_(p.b->value * p.scale);
  }
  refresh_scale();
}

at::Tensor Linear::adapter_columns(const at::Tensor& x) const {
  return rank_ > 0 ? x.slice(1, in_) : at::Tensor();
}

at::Tensor Linear::input_buffer(int64_t t) const {
  return at::empty({t, in_ + rank_}, compute_);
}

void Linear::adapt_input(at::Tensor& x) const {
  if (rank_ == 0) return;
  at::Tensor u = x.slice(1, in_);
  at::mm_out(u, x.slice(1, 0, in_), a_.t());
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  if (scale_.defined()) {
    at::Tensor y = scaled(at::mm(x, weight().t()));
    return bias_.defined() ? y.add_(result_bias()) : y;
  }
  if (bias_.defined()) return at::addmm(bias_.to(compute_), x, weight().t());
  return at::mm(x, weight().t());
}

at::Tensor Linear::forward_add(const at::Tensor& x, const at::Tensor& residual, float scale) const {
  if (scale_.defined()) return forward(x).mul_(scale).add_(residual);
  at::Tensor y = at::addmm(residual, x, weight().t(), 1, scale);
  if (bias_.defined()) y.add_(bias_.to(compute_), scale);
  return y;
}

at::Tensor Linear::input_grad(const at::Tensor& dy, bool need_dx) const {
  if (need_dx) return at::mm(scaled(dy), weight());
  if (rank_ == 0) return {};
  at::Tensor d = at::empty({dy.size(0), in_ + rank_}, compute_);
  at::Tensor du = d.slice(1, in_);
  at::mm_out(du, scaled(dy), b_columns());
  return d;
}

void Linear::finish_input_grad(at::Tensor& d) const {
  if (rank_ == 0) return;
  at::Tensor dx = d.slice(1, 0, in_);
  dx.addmm_(d.slice(1, in_), a_);
}

// grad += scale * left^T right
void Linear::add_grad(Parameter* p, const at::Tensor& left, const at::Tensor& right,
                      float scale) const {
  if (compute_ == at::kFloat)
    p->grad.addmm_(left.t(), right, 1, scale);
  else
    p->grad.add_(at::mm(left.t(), right), scale);
}

void Linear::param_grads(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& du) const {
  const at::Tensor plain_x = x.slice(1, 0, in_);
  const at::Tensor d = scaled(dy);
  if (scale_.defined()) scale_grads(x, dy);
  for (const Piece& p : pieces_) {
    const at::Tensor dy_p = d.slice(1, p.out_begin, p.out_begin + p.n_out);
    if (p.weight != nullptr) add_grad(p.weight, dy_p, plain_x, 1.0f);
    if (p.bias != nullptr) p.bias->grad.add_(dy_p.sum(0, false, at::kFloat));
    if (p.rank == 0) continue;
    const at::Tensor u = x.slice(1, in_ + p.u_begin, in_ + p.u_begin + p.rank);
    add_grad(p.a, du.slice(1, p.u_begin, p.u_begin + p.rank), plain_x, 1.0f);
    add_grad(p.b, dy_p, u, p.scale);
  }
}

}  // namespace lm::train
