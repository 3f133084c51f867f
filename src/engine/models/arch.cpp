#include "engine/models/arch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>

#include "engine/core/error.h"

namespace lm {

#define LM_ARCH(name) extern const Arch kArch_##name;
#include "engine/models/arch_list.inc"
#undef LM_ARCH

const std::vector<const Arch*>& all_archs() {
  static const std::vector<const Arch*> list = {
#define LM_ARCH(name) &kArch_##name,
#include "engine/models/arch_list.inc"
#undef LM_ARCH
  };
  return list;
}

const Arch& find_arch(const std::string& architecture) {
  std::vector<const char*> known;
  for (const Arch* arch : all_archs()) {
    known.push_back(arch->name);
    if (architecture == arch->name) return *arch;
    for (const char* type : arch->model_types)
      if (architecture == type) return *arch;
  }
  raise(ErrorCode::unsupported, "architecture \"{}\" is not supported; supported are {}",
        architecture, fmt::join(known, ", "));
}

namespace {

// Matches "a.{}.b" against a name; fills the layer text. Patterns without {} must be equal.
bool match(std::string_view pattern, std::string_view name, std::string_view* layer) {
  const size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return pattern == name;
  const std::string_view head = pattern.substr(0, hole), tail = pattern.substr(hole + 2);
  if (name.size() <= head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail))
    return false;
  *layer = name.substr(head.size(), name.size() - head.size() - tail.size());
  return layer->find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

TensorMap rename_tensors(const Arch& arch, TensorMap tensors) {
  TensorMap out;
  for (auto& [name, view] : tensors) {
    std::string renamed = name;
    for (const NameRule& rule : arch.names) {
      std::string_view layer;
      if (!match(rule.hf, name, &layer)) continue;
      renamed = std::string_view(rule.ours).find("{}") == std::string_view::npos
                    ? rule.ours
                    : fmt::format(fmt::runtime(rule.ours), layer);
      break;
    }
    out.emplace(std::move(renamed), std::move(view));
  }
  return out;
}

LinearSpec linear_spec(const TensorMap& tensors, const std::string& stem, bool transposed) {
  const std::string bias = stem + ".bias";
  return {stem + ".weight", tensors.contains(bias) ? bias : "", transposed};
}

std::vector<double> rope_frequencies(const ModelConfig& c) {
  const RopeScalingConfig& s = c.rope_scaling;
  LM_CHECK(s.type == "none" || s.type == "linear" || s.type == "llama3", ErrorCode::unsupported,
           "RoPE scaling \"{}\" is not supported; none, linear and llama3 are", s.type);
  LM_CHECK(s.factor > 0, ErrorCode::bad_file,
           "RoPE scaling factor is {}; expected a positive number", s.factor);
  std::vector<double> out;
  for (int64_t i = 0; i < c.rope_dim / 2; ++i) {
    double f =
        std::pow(c.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(c.rope_dim));
    if (s.type == "linear") f /= s.factor;
    if (s.type == "llama3") {
      const double wavelength = 2.0 * std::numbers::pi / f;
      const double low = s.original_context / s.low_freq_factor,
                   high = s.original_context / s.high_freq_factor;
      if (wavelength > low) {
        f /= s.factor;
      } else if (wavelength > high) {
        const double smooth = (s.original_context / wavelength - s.low_freq_factor) /
                              (s.high_freq_factor - s.low_freq_factor);
        f = (1.0 - smooth) * f / s.factor + smooth * f;
      }
    }
    out.push_back(f);
  }
  return out;
}

}  // namespace lm
