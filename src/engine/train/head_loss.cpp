#include "engine/train/head_loss.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>

#include "engine/core/rng.h"
#include "engine/train/rows.h"

namespace lm::train {

LossSums& LossSums::operator+=(const LossSums& o) {
  loss += o.loss;
  entropy += o.entropy;
  correct += o.correct;
  n += o.n;
  return *this;
}

namespace {

// A token of each row of logits, with its probability: the first whose share of the sum reaches a
// uniform number.
template <typename T>
void draw_targets(const CrossEntropyArgs& a, const T* logits, int64_t ld, uint64_t seed,
                  int64_t first, int64_t n, std::vector<int64_t>* out) {
  const auto z_of = [&](T x) {
    const double z = static_cast<double>(load_element(x) * a.logit_scale);
    return a.softcap > 0 ? static_cast<double>(a.softcap) * std::tanh(z / a.softcap) : z;
  };
  std::vector<double> sums(static_cast<size_t>(a.n_vocab));
  for (int64_t t = 0; t < n; ++t) {
    const T* row = logits + t * ld;
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < a.n_vocab; ++i) most = std::max(most, z_of(row[i]));
    for (int64_t i = 0; i < a.n_vocab; ++i)
      sums[static_cast<size_t>(i)] = sum += std::exp(z_of(row[i]) - most);
    const double wanted = Rng(seed + static_cast<uint64_t>(first + t)).uniform() * sum;
    (*out)[static_cast<size_t>(t)] =
        std::lower_bound(sums.begin(), sums.end() - 1, wanted) - sums.begin();
  }
}

}  // namespace

LossSums head_loss(const Linear& output, const CrossEntropyArgs& args, const at::Tensor& hidden,
                   const std::vector<int64_t>& target, float weight, at::Tensor* d_hidden,
                   std::optional<uint64_t> draw_seed) {
  const int64_t n = hidden.size(0);
  LossSums sums;
  if (d_hidden != nullptr) *d_hidden = at::empty({n, output.in()}, hidden.scalar_type());
  const std::vector<float> weights(static_cast<size_t>(kHeadChunk), weight);
  std::vector<RowLoss> losses(static_cast<size_t>(kHeadChunk));
  std::vector<int64_t> drawn(draw_seed ? static_cast<size_t>(kHeadChunk) : 0);
  for (int64_t begin = 0; begin < n; begin += kHeadChunk) {
    const int64_t end = std::min(n, begin + kHeadChunk), m = end - begin;
    at::Tensor x = output.input_buffer(m);
    x.slice(1, 0, output.in()).copy_(hidden.slice(0, begin, end));
    output.adapt_input(x);
    at::Tensor logits = output.forward(x);
    const int64_t* targets = target.data() + begin;
    by_type(logits, [&]<typename T>() {
      if (draw_seed) {
        draw_targets(args, rows_of<T>(logits), logits.stride(0), *draw_seed, begin, m, &drawn);
        targets = drawn.data();
      }
      const auto& k = row_kernels<T>(train_kernels());
      at::parallel_for(0, m, 1, [&](int64_t first, int64_t last) {
        k.cross_entropy(args, mutable_rows_of<T>(logits), logits.stride(0), targets, weights.data(),
                        losses.data(), d_hidden != nullptr, first, last);
      });
    });
    for (int64_t i = 0; i < m; ++i) {
      const RowLoss& row = losses[static_cast<size_t>(i)];
      sums += {static_cast<double>(row.loss), static_cast<double>(row.entropy), row.correct, 1};
    }
    if (d_hidden == nullptr) continue;
    at::Tensor d = output.input_grad(logits, true);
    output.param_grads(x, logits, output.adapter_columns(d));
    output.finish_input_grad(d);
    d_hidden->slice(0, begin, end).copy_(d.slice(1, 0, output.in()));
  }
  return sums;
}

}  // namespace lm::train
