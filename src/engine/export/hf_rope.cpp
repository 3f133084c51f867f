// config.json's rope_scaling from what a GGUF file says and from the frequencies that its
// description has.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/export/hf_folder.h"
#include "engine/kernels/cpu/panels.h"
#include "engine/models/rope.h"

namespace lm {

using nlohmann::ordered_json;

namespace {

// A number that was stored as f32, as short as it was meant.
double rounded(double x) {
  return std::stod(fmt::format("{}", static_cast<float>(x)));
}

std::vector<double> values(const TensorMap& tensors, const char* name) {
  const auto it = tensors.find(name);
  LM_CHECK(it != tensors.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"", name);
  std::vector<float> x(static_cast<size_t>(it->second.numel()));
  to_f32(it->second, 0, it->second.numel(), x.data());
  std::vector<double> out;
  for (const float v : x) out.push_back(rounded(static_cast<double>(v)));
  return out;
}

ordered_json longrope(const ModelConfig& config, const RopeSpec& rope,
                      const std::vector<double>& short_factor,
                      const std::vector<double>& long_factor) {
  const int64_t original = rope.limit > 0 ? rope.limit : config.context_length;
  return {{"rope_type", "longrope"},
          {"short_factor", short_factor},
          {"long_factor", long_factor},
          {"factor", static_cast<double>(config.context_length) / static_cast<double>(original)},
          {"attention_factor", rounded(static_cast<double>(rope.magnitude))},
          {"original_max_position_embeddings", original}};
}

// Llama 3's factors say which scaling made them: the published ones are tried. Other factors are
// LongRoPE's with the same ones for every length, which says what they are.
ordered_json llama3(const ModelConfig& config, const RopeSpec& rope, const TensorMap& tensors) {
  for (const double factor : {8.0, 32.0, 4.0, 16.0, 64.0})
    for (const int64_t original : {8192, 4096, 2048}) {
      RopeScalingConfig s;
      s.type = "llama3";
      s.factor = factor;
      s.original_context = original;
      const RopeSpec r =
          make_rope(rope.kind, rope.dim, config.rope_theta, s, config.context_length);
      bool equal = r.frequencies.size() == rope.frequencies.size();
      for (size_t i = 0; equal && i < r.frequencies.size(); ++i)
        equal = std::fabs(r.frequencies[i] / rope.frequencies[i] - 1.0) < 1e-4;
      if (equal)
        return {{"rope_type", "llama3"},
                {"factor", factor},
                {"low_freq_factor", 1.0},
                {"high_freq_factor", 4.0},
                {"original_max_position_embeddings", original}};
    }
  const std::vector<double> factors = values(tensors, "rope_freqs.weight");
  return longrope(config, rope, factors, factors);
}

// DeepSeek's YaRN: mscale_all_dim is in the scale of the scores, mscale in the magnitude too.
void add_mscales(const AttentionSpec& a, double factor, ordered_json* j) {
  const double root =
      std::sqrt(static_cast<double>(a.scale) * std::sqrt(static_cast<double>(a.head_dim)));
  const double step = 0.1 * std::log(factor);
  j->update({{"mscale", rounded((static_cast<double>(a.rope.magnitude) * root - 1.0) / step)},
             {"mscale_all_dim", rounded((root - 1.0) / step)}});
}

}  // namespace

std::string hf_rope_scaling(const ModelConfig& config, const AttentionSpec& a,
                            const TensorMap& tensors) {
  const RopeScalingConfig& s = config.rope_scaling;
  ordered_json j;
  if (tensors.contains("rope_factors_long.weight"))
    j = longrope(config, a.rope, values(tensors, "rope_factors_short.weight"),
                 values(tensors, "rope_factors_long.weight"));
  else if (tensors.contains("rope_freqs.weight"))
    j = llama3(config, a.rope, tensors);
  else if (s.type == "linear")
    j = {{"rope_type", "linear"}, {"factor", s.factor}};
  if (s.type == "yarn") {
    j = {{"rope_type", "yarn"},
         {"factor", s.factor},
         {"original_max_position_embeddings",
          s.original_context > 0 ? s.original_context : config.context_length},
         {"beta_fast", s.beta_fast},
         {"beta_slow", s.beta_slow}};
    if (a.latent && s.factor > 1.0)
      add_mscales(a, s.factor, &j);
    else if (s.extra_factor != 1.0)
      j["attention_factor"] = rounded(static_cast<double>(a.rope.magnitude));
  }
  return j.is_null() ? "" : j.dump();
}

}  // namespace lm
