// One or several projections of the same input, trainable or frozen, with adapters.
//
// The weights of the projections lie one below the other in one matrix, so that q, k and v (gate
// and up) are one product. Adapters ride along as more columns: with W' = [W, s B] and x' = [x, x
// A^T] the product x' W'^T is the adapted result, and dy W' gives the gradients of both halves at
// once. B of stacked projections is block-diagonal: its zeros cost less than separate products.
//
// DoRA and IA3 multiply the result's columns: y = (x' W'^T) * c + bias with c = magnitude / |row of
// W + s B A| (a constant for the gradients, as its authors have it), y = (x W^T + bias) * c with c
// trained itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/train/frozen_matrix.h"
#include "engine/train/parameters.h"
#include "engine/train/tensor_reader.h"

namespace lm::train {

// First values of an adapter that come from its weight: A [rank, in], B [out, rank], f32.
struct LowRank {
  at::Tensor a, b;
};

// Which weights get an adapter, and how strong it is.
struct LoraPlan {
  int64_t rank = 0;
  float scale = 1.0f;
  bool dora = false;
  // w: [out, in], f32; it becomes what the base is beside the adapter. None: init_lora fills in
  // values that leave the base alone.
  std::function<LowRank(at::Tensor& w, const std::string& name)> start;
};

// What a tensor is in the run: decided once, by names.
struct Role {
  bool trained = false;  // the weight itself
  LoraPlan lora;         // rank 0: none
  bool ia3 = false;
  Quantize quantize = Quantize::none;  // how it is kept; not for trained ones
};

// One projection of the stack.
struct Piece {
  LinearSpec spec;   // where the weight lies
  std::string name;  // its tensor, with "#row" behind it for a part of one
  int64_t out_begin = 0, n_out = 0;
  int64_t u_begin = 0, rank = 0;  // of the adapter's columns
  float scale = 1.0f;
  Parameter *a = nullptr, *b = nullptr;          // adapter [rank, in], [n_out, rank]
  Parameter* magnitude = nullptr;                // DoRA [n_out]
  Parameter* factor = nullptr;                   // IA3 [n_out]
  LowRank start;                                 // what was taken off the base
  Parameter *weight = nullptr, *bias = nullptr;  // trained themselves
};

class Linear {
 public:
  Linear() = default;
  // Reads the projections; rows: the outputs of each. role(tensor name) decides what is trained.
  template <typename RoleOf>
  Linear(std::vector<LinearSpec> specs, std::vector<int64_t> rows, int64_t in,
         const TensorReader& reader, at::ScalarType compute, ParameterSet* parameters,
         RoleOf&& role) {
    join_parts(&specs, &rows);
    std::vector<Role> roles;
    for (const LinearSpec& spec : specs) roles.push_back(role(spec.weight));
    build(specs, rows, in, reader, compute, parameters, roles);
  }

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  int64_t rank() const { return rank_; }
  bool trained() const { return trained_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::vector<Piece>& pieces() { return pieces_; }
  at::ScalarType compute() const { return compute_; }
  // W' [out, in + rank]; made anew at each call where the weights are kept quantised.
  at::Tensor weight() const;
  // Bytes that a call of weight() takes.
  int64_t weight_bytes() const;
  const at::Tensor& bias() const { return bias_; }  // undefined: none

  // Brings the computing copies up to date with the parameters; after every optimizer step.
  void refresh();

  // An empty x' [T, in + rank]; the caller fills its first `in` columns.
  at::Tensor input_buffer(int64_t t) const;
  // Its last `rank` columns, or those of a gradient; undefined without adapters.
  at::Tensor adapter_columns(const at::Tensor& x) const;
  // Fills the rest of x': u = x A^T.
  void adapt_input(at::Tensor& x) const;
  // y = x' W'^T + bias, [T, out].
  at::Tensor forward(const at::Tensor& x) const;
  // residual + scale * (the same)
  at::Tensor forward_add(const at::Tensor& x, const at::Tensor& residual, float scale) const;
  // dy W' [T, in + rank]: the gradient of u in its last columns, that of x through W alone in the
  // first; finish_input_grad adds the adapter's part. Without need_dx only the last columns are
  // computed.
  at::Tensor input_grad(const at::Tensor& dy, bool need_dx) const;
  void finish_input_grad(at::Tensor& d) const;
  // Adds the gradients of the parameters. x' as in forward; du [T, rank]: the last columns of what
  // input_grad gave, undefined without adapters.
  void param_grads(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& du) const;

  // Makes the magnitudes the lengths of the rows as they are: DoRA's first values.
  void init_magnitudes();
  // Columns of an intermediate result that DoRA and IA3 need in the backward pass.
  int64_t scaled_width() const { return scale_.defined() ? out_ : 0; }

  // The plain form for autograd: parameters' values are leaves that require gradients.
  at::Tensor plain(const at::Tensor& x) const;

 private:
  // Neighbouring rows of one tensor (gate and up of Phi 3) are one projection, as adapters see it.
  static void join_parts(std::vector<LinearSpec>* specs, std::vector<int64_t>* rows);
  void build(const std::vector<LinearSpec>& specs, const std::vector<int64_t>& rows, int64_t in,
             const TensorReader& reader, at::ScalarType compute, ParameterSet* parameters,
             const std::vector<Role>& roles);
  at::Tensor b_columns() const;                // of W': [out, rank]
  at::Tensor frozen_rows(size_t piece) const;  // W of a piece, computing type
  at::Tensor lengths(size_t piece) const;      // of the rows of W + s B A, [n_out] f32
  void refresh_scale();
  at::Tensor result_bias() const;                 // as it is added to the scaled product
  at::Tensor scaled(const at::Tensor& dy) const;  // dy * c; dy itself without c
  void scale_grads(const at::Tensor& x, const at::Tensor& dy) const;
  void add_grad(Parameter* p, const at::Tensor& left, const at::Tensor& right, float scale) const;

  int64_t in_ = 0, out_ = 0, rank_ = 0;
  bool trained_ = false;  // some weight itself is
  at::ScalarType compute_ = at::kFloat;
  at::Tensor weight_, bias_, a_;      // a_: [rank, in], compute type
  at::Tensor scale_, lengths_;        // [out] f32: c, |row of W + s B A|; undefined: none
  std::vector<FrozenMatrix> frozen_;  // of the pieces, when quantised; weight_ is [out, rank] then
  std::vector<Piece> pieces_;
};

}  // namespace lm::train
