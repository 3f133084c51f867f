#include "engine/infer/pass.h"

#include <cmath>
#include <cstring>

#include "engine/core/error.h"
#include "engine/infer/profile.h"
#include "engine/kernels/cpu/panel_format.h"

namespace lm {

std::byte* Arena::take(size_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  LM_CHECK(bytes <= size_ - used_, ErrorCode::internal,
           "scratch memory of {} bytes is too small for {} more after {}", size_, bytes, used_);
  std::byte* out = data_ + used_;
  used_ += bytes;
  return out;
}

// Whole cache lines, and an odd number of them: rows at a power of two would share few sets of the
// caches, and a tile reads 16 rows at once.
int64_t activation_stride(int64_t cols) {
  const int64_t lines = (cols + 63) / 64;
  return 64 * (lines + (lines % 2 == 0 ? 1 : 0));
}

size_t Arena::activation_bytes(int64_t tokens, int64_t cols) {
  const int64_t floats = tokens * activation_stride(cols),
                scales = round_up(tokens * (cols / kQuantBlock), 16);
  return static_cast<size_t>(round_up(floats * 4 + floats * 2 + scales * 16, 64));
}

Activations Arena::activations(int64_t tokens, int64_t cols) {
  Activations a;
  a.cols = cols;
  a.stride = activation_stride(cols);
  const int64_t floats = tokens * a.stride, scales = round_up(tokens * (cols / kQuantBlock), 16);
  a.x = reinterpret_cast<float*>(take(activation_bytes(tokens, cols)));
  a.q = reinterpret_cast<int8_t*>(a.x + floats);
  a.q_low = a.q + floats;
  a.d = reinterpret_cast<float*>(a.q_low + floats);
  a.dsum = a.d + scales;
  a.sum = reinterpret_cast<int32_t*>(a.dsum + scales);
  return a;
}

void Pass::norm_row(const NormSpec& norm, const NormWeights& w, const float* in, int64_t size,
                    float* out) const {
  if (norm.kind == NormKind::rms)
    k.rms_norm(in, w.weight.data(), size, norm.eps, out);
  else if (norm.kind == NormKind::layer)
    k.layer_norm(in, w.weight.data(), w.bias.empty() ? nullptr : w.bias.data(), size, norm.eps,
                 out);
  else if (in != out)
    std::memcpy(out, in, static_cast<size_t>(size) * 4);
}

void Pass::quantize_row(const Activations& a, int64_t t) const {
  const Activations row = a.from(t);
  k.quantize_row(row.x, a.cols, row.q, row.q_low, row.d, row.dsum, row.sum);
}

void Pass::normalize(const NormSpec& norm, const NormWeights& w, const float* in, int64_t count,
                     bool quantized) {
  const ProfileScope scope(region, "norm");
  share_tokens(count, [&](int64_t t) {
    norm_row(norm, w, in + t * spec.hidden_size, spec.hidden_size, normed.x + t * normed.stride);
    if (quantized) quantize_row(normed, t);
  });
}

void Pass::multiply(const LinearWeights& w, const Activations& in, int64_t count, float* out,
                    int64_t ldo, Epilogue epilogue) {
  int64_t row = 0;
  const bool glu = epilogue == Epilogue::swiglu || epilogue == Epilogue::geglu;
  for (const auto& part : w.parts) {
    const ProfileScope scope(region, "matmul", dtype_name(panel_format(part->kind).dtype),
                             static_cast<int64_t>(part->data.size()));
    const int64_t panels = part->n_panels();
    // A few tokens wait for the weights: one long stretch for each thread keeps the hardware
    // prefetcher streaming (measured: 380 instead of 275 tokens/s in decode against 16 pieces).
    // Many tokens wait for the arithmetic: smaller pieces even out.
    const int64_t pieces = count <= 8 ? region.n_threads() : 8 * region.n_threads();
    const int64_t chunk = round_up((panels + pieces - 1) / pieces, 2);
    region.share(glu ? round_up(panels, 2) : panels, chunk, [&](int64_t begin, int64_t end) {
      const float* bias = w.bias.empty() || !w.scale.empty() ? nullptr : w.bias.data() + row;
      k.matmul({part.get(), &in, begin, end, count, out + row, ldo, bias, epilogue});
    });
    row += part->rows;
  }
}

bool Pass::adapted(const LinearWeights& w) const {
  bool any = false;
  for (const AdapterRun& run : adapters)
    if (run.adapters != nullptr)
      run.adapters->for_linear(w, [&](const LoraWeights&) { any = true; });
  return any;
}

bool Pass::rescaled(const LinearWeights& w) const {
  bool any = false;
  for (const AdapterRun& run : adapters)
    if (run.adapters != nullptr)
      run.adapters->for_linear(w, [&](const LoraWeights& lora) { any |= !lora.gain.empty(); });
  return any;
}

// All gains are of the base's result: they are added up, then applied.
void Pass::scale_rows(const LinearWeights& w, const AdapterSet& set, int64_t count, float* out,
                      int64_t ldo) {
  std::vector<float> factor, offset;
  set.for_linear(w, [&](const LoraWeights& lora) {
    const auto begin = static_cast<size_t>(lora.out_row), rows = lora.gain.size();
    if (rows == 0) return;
    if (factor.size() < begin + rows) {
      factor.resize(begin + rows, 1.0f);
      offset.resize(begin + rows);
    }
    for (size_t r = 0; r < rows; ++r) {
      factor[begin + r] += lora.gain[r];
      offset[begin + r] += lora.offset[r];
    }
  });
  if (factor.empty()) return;
  share_tokens(count, [&](int64_t t) {
    float* y = out + t * ldo;
    for (size_t r = 0; r < factor.size(); ++r) y[r] = y[r] * factor[r] + offset[r];
  });
}

void Pass::project(const LinearWeights& w, const Activations& in, int64_t count, float* out,
                   int64_t ldo, Epilogue epilogue) {
  multiply(w, in, count, out, ldo, epilogue);
  if (!w.scale.empty())
    share_tokens(count, [&](int64_t t) {
      float* y = out + t * ldo;
      for (size_t r = 0; r < w.scale.size(); ++r)
        y[r] = y[r] * w.scale[r] + (w.bias.empty() ? 0.0f : w.bias[r]);
    });
  for (const AdapterRun& run : adapters) {
    const int64_t rows = std::min(run.end, count) - run.begin;
    if (run.adapters == nullptr || rows <= 0) continue;
    scale_rows(w, *run.adapters, rows, out + run.begin * ldo, ldo);
    run.adapters->for_linear(w, [&](const LoraWeights& lora) {
      if (lora.a.parts.empty()) return;
      const size_t mark = arena.used();
      const Activations low = arena.activations(rows, lora.a.rows);
      multiply(lora.a, in.from(run.begin), rows, low.x, low.stride, Epilogue::store);
      multiply(lora.b, low, rows, out + run.begin * ldo + lora.out_row, ldo, Epilogue::add);
      arena.reset(mark);
    });
  }
}

void Pass::finish(const LinearWeights& w, const Activations& in, const Branch& branch,
                  const BranchWeights& weights) {
  if (branch.post_norm.kind == NormKind::none && branch.scale == 1.0f && w.scale.empty() &&
      !rescaled(w)) {
    project(w, in, n, x, spec.hidden_size, Epilogue::add);
    return;
  }
  float* out = arena.floats(n * spec.hidden_size);
  project(w, in, n, out, spec.hidden_size);
  finish(out, branch, weights);
}

void Pass::finish(float* out, const Branch& branch, const BranchWeights& weights) {
  share_tokens(n, [&](int64_t t) {
    float* y = out + t * spec.hidden_size;
    float* to = x + t * spec.hidden_size;
    norm_row(branch.post_norm, weights.post_norm, y, spec.hidden_size, y);
    for (int64_t i = 0; i < spec.hidden_size; ++i) to[i] += branch.scale * y[i];
  });
}

void apply_activation(const Kernels& k, Activation activation, float* x, int64_t n) {
  switch (activation) {
    case Activation::silu:
      return k.silu(x, n);
    case Activation::gelu_tanh:
      return k.gelu(x, n, true);
    case Activation::gelu_erf:
      return k.gelu(x, n, false);
    case Activation::relu:
      for (int64_t i = 0; i < n; ++i) x[i] = std::max(x[i], 0.0f);
      return;
    case Activation::relu_squared:
      for (int64_t i = 0; i < n; ++i) x[i] = x[i] > 0.0f ? x[i] * x[i] : 0.0f;
      return;
    case Activation::quick_gelu:
      for (int64_t i = 0; i < n; ++i) x[i] = x[i] / (1.0f + std::exp(-1.702f * x[i]));
      return;
    case Activation::tanh:
      for (int64_t i = 0; i < n; ++i) x[i] = std::tanh(x[i]);
      return;
  }
}

}  // namespace lm
