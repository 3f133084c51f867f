#include "engine/models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"
#include "engine/kernels/cpu/panels.h"

namespace lm {
namespace {

constexpr double kPi = std::numbers::pi;

std::vector<double> plain_frequencies(int64_t dim, double theta) {
  std::vector<double> out(static_cast<size_t>(dim / 2));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
  return out;
}

void divide(std::vector<double>* frequencies, const std::vector<double>& factors,
            const char* name) {
  LM_CHECK(factors.size() == frequencies->size(), ErrorCode::bad_file,
           "RoPE {} has {} values; expected {}", name, factors.size(), frequencies->size());
  for (size_t i = 0; i < factors.size(); ++i) {
    LM_CHECK(factors[i] > 0, ErrorCode::bad_file, "RoPE {} holds {}; expected positive numbers",
             name, factors[i]);
    (*frequencies)[i] /= factors[i];
  }
}

// Low frequencies are slowed by `factor`, high ones kept, with a smooth ramp between.
void scale_llama3(const RopeScalingConfig& s, std::vector<double>* frequencies) {
  const double original = s.original_context > 0 ? static_cast<double>(s.original_context) : 8192.0;
  for (double& f : *frequencies) {
    const double wavelength = 2.0 * kPi / f;
    if (wavelength > original / s.low_freq_factor) {
      f /= s.factor;
    } else if (wavelength > original / s.high_freq_factor) {
      const double smooth =
          (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      f = (1.0 - smooth) * f / s.factor + smooth * f;
    }
  }
}

// Frequencies that turn more than beta_fast times within the original context are kept, those that
// turn less than beta_slow times are slowed, a linear ramp lies between.
void scale_yarn(const RopeScalingConfig& s, double theta, int64_t context, RopeSpec* rope) {
  const auto dim = static_cast<double>(rope->dim);
  const double original =
      static_cast<double>(s.original_context > 0 ? s.original_context : context);
  const auto border = [&](double turns) {
    return dim * std::log(original / (turns * 2.0 * kPi)) / (2.0 * std::log(theta));
  };
  double low = border(s.beta_fast), high = border(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope->frequencies.size(); ++i) {
    const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    double& f = rope->frequencies[i];
    f = f / s.factor * slowed + f * (1.0 - slowed);
  }
  const double by_factor =
      s.mscale != 0.0 && s.mscale_all_dim != 0.0
          ? yarn_magnitude(s.factor, s.mscale) / yarn_magnitude(s.factor, s.mscale_all_dim)
          : yarn_magnitude(s.factor, 1.0);
  rope->magnitude = static_cast<float>(s.attention_factor.value_or(by_factor) * s.extra_factor);
}

void scale_longrope(const RopeScalingConfig& s, int64_t context, RopeSpec* rope) {
  const int64_t original = s.original_context > 0 ? s.original_context : context;
  rope->long_frequencies = rope->frequencies;
  divide(&rope->frequencies, s.short_factor, "short factors");
  divide(&rope->long_frequencies, s.long_factor, "long factors");
  rope->limit = original;
  const double factor = s.original_context > 0
                            ? static_cast<double>(context) / static_cast<double>(original)
                            : s.factor;
  const double by_factor =
      factor <= 1.0 ? 1.0
                    : std::sqrt(1.0 + std::log(factor) / std::log(static_cast<double>(original)));
  rope->magnitude = static_cast<float>(s.attention_factor.value_or(by_factor));
}

// A tensor of divisors in a GGUF file; empty when absent.
std::vector<double> factors_tensor(const TensorMap& tensors, const char* name) {
  const auto it = tensors.find(name);
  if (it == tensors.end()) return {};
  std::vector<float> values(static_cast<size_t>(it->second.numel()));
  to_f32(it->second, 0, it->second.numel(), values.data());
  return {values.begin(), values.end()};
}

}  // namespace

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

RopeSpec make_rope(RopeKind kind, int64_t dim, double theta, const RopeScalingConfig& s,
                   int64_t context) {
  RopeSpec rope;
  rope.kind = dim > 0 ? kind : RopeKind::none;
  rope.dim = dim;
  if (rope.kind == RopeKind::none) return rope;
  LM_CHECK(theta > 0, ErrorCode::bad_file, "RoPE base is {}; expected a positive number", theta);
  LM_CHECK(s.factor > 0, ErrorCode::bad_file,
           "RoPE scaling factor is {}; expected a positive number", s.factor);
  rope.frequencies = plain_frequencies(dim, theta);
  if (s.type == "linear") {
    for (double& f : rope.frequencies) f /= s.factor;
  } else if (s.type == "llama3") {
    scale_llama3(s, &rope.frequencies);
  } else if (s.type == "yarn") {
    scale_yarn(s, theta, context, &rope);
  } else if (s.type == "longrope") {
    scale_longrope(s, context, &rope);
  } else if (s.type == "dynamic") {
    rope.limit = context;
    rope.ntk_base = theta;
    rope.ntk_factor = s.factor;
  } else {
    LM_CHECK(s.type == "none", ErrorCode::unsupported,
             "RoPE scaling \"{}\" is not supported; none, linear, dynamic, yarn, llama3 and "
             "longrope are",
             s.type);
  }
  return rope;
}

RopeSpec model_rope(RopeKind kind, const ModelConfig& c, const TensorMap& tensors) {
  RopeScalingConfig scaling = c.rope_scaling;
  if (const auto factors = factors_tensor(tensors, "rope_factors_long.weight"); !factors.empty()) {
    scaling.type = "longrope";
    scaling.long_factor = factors;
    scaling.short_factor = factors_tensor(tensors, "rope_factors_short.weight");
  }
  RopeSpec rope = make_rope(kind, c.rope_dim, c.rope_theta, scaling, c.context_length);
  if (const auto factors = factors_tensor(tensors, "rope_freqs.weight"); !factors.empty())
    divide(&rope.frequencies, factors, "rope_freqs.weight");
  return rope;
}

int64_t scaled_context(const ModelConfig& c) {
  const RopeScalingConfig& s = c.rope_scaling;
  const auto times = [&](int64_t n) {
    return static_cast<int64_t>(std::min(static_cast<double>(n) * s.factor, 2147483648.0));
  };
  if (s.type == "dynamic") return std::max(c.context_length, times(c.context_length));
  if (s.type == "yarn") return std::max(c.context_length, times(s.original_context));
  return c.context_length;
}

std::vector<double> rope_at(const RopeSpec& rope, int64_t length) {
  if (rope.limit == 0 || length <= rope.limit) return rope.frequencies;
  if (!rope.long_frequencies.empty()) return rope.long_frequencies;
  const auto dim = static_cast<double>(rope.dim);
  const double stretch =
      rope.ntk_factor * static_cast<double>(length) / static_cast<double>(rope.limit) -
      (rope.ntk_factor - 1.0);
  return plain_frequencies(rope.dim, rope.ntk_base * std::pow(stretch, dim / (dim - 2.0)));
}

}  // namespace lm
