#include "engine/train/head_loss.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "engine/train/rows.h"

namespace lm::train {

LossSums& LossSums::operator+=(const LossSums& o) {
  loss += o.loss;
  entropy += o.entropy;
  correct += o.correct;
  n += o.n;
  return *this;
}

LossSums head_loss(const Linear& output, const CrossEntropyArgs& args, const at::Tensor& hidden,
                   const std::vector<int64_t>& target, float weight, at::Tensor* d_hidden) {
  const int64_t n = hidden.size(0);
  LossSums sums;
  if (d_hidden != nullptr) *d_hidden = at::empty({n, output.in()}, hidden.scalar_type());
  const std::vector<float> weights(static_cast<size_t>(kHeadChunk), weight);
  std::vector<RowLoss> losses(static_cast<size_t>(kHeadChunk));
  for (int64_t begin = 0; begin < n; begin += kHeadChunk) {
    const int64_t end = std::min(n, begin + kHeadChunk), m = end - begin;
    at::Tensor x = output.input_buffer(m);
    x.slice(1, 0, output.in()).copy_(hidden.slice(0, begin, end));
    output.adapt_input(x);
    at::Tensor logits = output.forward(x);
    by_type(logits, [&]<typename T>() {
      const auto& k = row_kernels<T>(train_kernels());
      at::parallel_for(0, m, 1, [&](int64_t first, int64_t last) {
        k.cross_entropy(args, mutable_rows_of<T>(logits), logits.stride(0), target.data() + begin,
                        weights.data(), losses.data(), d_hidden != nullptr, first, last);
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
