#include "engine/train/lora_start.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sqrt.h>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/train/roles.h"

namespace lm::train {
namespace {

struct Svd {
  at::Tensor u, s, vt;  // [out, k], [k], [k, in]
};

Svd exact_svd(const at::Tensor& w) {
  auto [u, s, vt] = at::linalg_svd(w, /*full_matrices=*/false);
  return {u, s, vt};
}

at::Tensor normal(int64_t rows, int64_t cols, uint64_t seed) {
  at::Tensor out = at::empty({rows, cols}, at::kFloat);
  float* x = out.mutable_data_ptr<float>();
  Rng rng(seed);
  for (int64_t i = 0; i < out.numel(); ++i) x[i] = static_cast<float>(rng.normal());
  return out;
}

at::Tensor orthonormal(const at::Tensor& columns) {
  return std::get<0>(at::linalg_qr(columns));
}

// Subspace iteration: W is looked at through `rank` directions only.
Svd approximate_svd(const at::Tensor& w, int64_t rank, int64_t rounds, uint64_t seed) {
  at::Tensor q = orthonormal(at::mm(w, normal(w.size(1), rank, seed)));
  for (int64_t i = 0; i < rounds; ++i) q = orthonormal(at::mm(w, orthonormal(at::mm(w.t(), q))));
  const Svd small = exact_svd(at::mm(q.t(), w));
  return {at::mm(q, small.u), small.s, small.vt};
}

// B A = the r largest singular values of what was decomposed, over `scale`.
LowRank halves(const Svd& d, int64_t rank, double scale) {
  const at::Tensor root = at::sqrt(d.s.slice(0, 0, rank) / scale);
  return {(root.unsqueeze(1) * d.vt.slice(0, 0, rank)).contiguous(),
          (d.u.slice(1, 0, rank) * root).contiguous()};
}

void check_rank(const at::Tensor& w, int64_t rank, const std::string& name) {
  LM_CHECK(rank <= std::min(w.size(0), w.size(1)), ErrorCode::bad_option,
           "lora.rank is {}; \"{}\" is [{}, {}] and has no such rank", rank, name, w.size(0),
           w.size(1));
}

LowRank pissa(at::Tensor& w, const std::string& name, const LoraOptions& o, uint64_t seed) {
  const double scale = lora_scale(o);
  const uint64_t own = seed ^ (uint64_t{crc32(std::as_bytes(std::span(name)))} << 20);
  const LowRank out = halves(
      o.init_iterations > 0 ? approximate_svd(w, o.rank, o.init_iterations, own) : exact_svd(w),
      o.rank, scale);
  w.addmm_(out.b, out.a, 1, -scale);
  return out;
}

LowRank olora(at::Tensor& w, const LoraOptions& o) {
  const auto [q, r] = at::linalg_qr(w);
  LowRank out{r.slice(0, 0, o.rank).contiguous(), q.slice(1, 0, o.rank).contiguous()};
  w.addmm_(out.b, out.a, 1, -lora_scale(o));
  return out;
}

// PEFT leaves the scale in, so that its values fit for alpha = rank only, where these are the same.
LowRank loftq(const at::Tensor& w, const LoraOptions& o, Quantize quantize) {
  const at::Tensor rounded = at::empty({w.size(0), w.size(1)}, at::kFloat);
  FrozenMatrix(w, quantize).write(rounded);
  return halves(exact_svd(w - rounded), o.rank, lora_scale(o));
}

}  // namespace

std::function<LowRank(at::Tensor& w, const std::string& name)> lora_start(const TrainOptions& o) {
  const std::string& init = o.lora.init;
  if (init == "default" || init == "gaussian") return nullptr;
  return [lora = o.lora, seed = static_cast<uint64_t>(o.seed), quantize = quantize_of(o.quantize)](
             at::Tensor& w, const std::string& name) {
    check_rank(w, lora.rank, name);
    if (lora.init == "pissa") return pissa(w, name, lora, seed);
    if (lora.init == "olora") return olora(w, lora);
    return loftq(w, lora, quantize);
  };
}

}  // namespace lm::train
