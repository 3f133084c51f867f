#include "engine/infer/pooled.h"

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/pass.h"

namespace lm {
namespace {

// out[r] = dot(w[r], x) + b[r]
std::vector<float> multiply(const std::vector<float>& w, const std::vector<float>& b,
                            std::span<const float> x) {
  std::vector<float> out(w.size() / x.size());
  for (size_t r = 0; r < out.size(); ++r) {
    float sum = b.empty() ? 0.0f : b[r];
    for (size_t i = 0; i < x.size(); ++i) sum += w[r * x.size() + i] * x[i];
    out[r] = sum;
  }
  return out;
}

}  // namespace

std::vector<float> pool(Pooling pooling, std::span<const float> hidden, int64_t width) {
  const auto c = static_cast<size_t>(width);
  const size_t n = hidden.size() / c;
  if (pooling != Pooling::mean) {
    const float* row = hidden.data() + (pooling == Pooling::cls ? 0 : (n - 1) * c);
    return {row, row + c};
  }
  std::vector<float> out(c);
  for (size_t i = 0; i < c; ++i) {
    double sum = 0;
    for (size_t t = 0; t < n; ++t) sum += static_cast<double>(hidden[t * c + i]);
    out[i] = static_cast<float>(sum / static_cast<double>(n));
  }
  return out;
}

std::vector<float> run_head(const HeadSpec& head, const HeadWeights& w,
                            std::span<const float> hidden, int64_t c) {
  std::vector<float> v = pool(head.pooling, hidden, c);
  if (head.dense) {
    v = multiply(w.dense, w.dense_bias, v);
    apply_activation(kernels(), head.activation, v.data(), static_cast<int64_t>(v.size()));
  }
  if (head.norm.kind != NormKind::none)
    kernels().layer_norm(v.data(), w.norm.weight.data(),
                         w.norm.bias.empty() ? nullptr : w.norm.bias.data(),
                         static_cast<int64_t>(v.size()), head.norm.eps, v.data());
  return multiply(w.output, w.output_bias, v);
}

void check_reads_text(const Model& model) {
  LM_CHECK(!model.spec().image, ErrorCode::unsupported,
           "the model \"{}\" reads images, not texts; classify{{image=}} takes one",
           model.info().name);
}

}  // namespace lm
