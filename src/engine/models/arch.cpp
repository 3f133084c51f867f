#include "engine/models/arch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <utility>

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

// Matches a pattern with up to two holes, which stand for digits; fills the texts of the holes.
bool match(std::string_view pattern, std::string_view name, std::string_view* holes) {
  for (;; ++holes) {
    const size_t hole = pattern.find("{}");
    if (hole == std::string_view::npos) return pattern == name;
    if (name.substr(0, hole) != pattern.substr(0, hole)) return false;
    name.remove_prefix(hole);
    pattern.remove_prefix(hole + 2);
    *holes = name.substr(0, name.find_first_not_of("0123456789"));
    if (holes->empty()) return false;
    name.remove_prefix(holes->size());
  }
}

std::string fill(std::string_view pattern, const std::string_view* holes) {
  std::string out;
  for (;; ++holes) {
    const size_t hole = pattern.find("{}");
    if (hole == std::string_view::npos) return out.append(pattern);
    out.append(pattern.substr(0, hole)).append(*holes);
    pattern.remove_prefix(hole + 2);
  }
}

}  // namespace

namespace {

// Empty when no rule fits.
std::string renamed(const Arch& arch, std::string_view name) {
  for (const NameRule& rule : arch.names) {
    std::string_view holes[3];
    if (match(rule.hf, name, holes)) return fill(rule.ours, holes);
  }
  return "";
}

}  // namespace

std::string rename_tensor(const Arch& arch, const std::string& name) {
  // The same tensor as a model with or without a head, or inside of a larger model, spells it.
  struct Prefix {
    std::string_view found, meant;
  };
  static constexpr Prefix kPrefixes[] = {{"", ""},
                                         {"", "model."},
                                         {"", "transformer."},
                                         {"", "gpt_neox."},
                                         {"bert.", ""},
                                         {"roberta.", ""},
                                         {"vit.", ""},
                                         {"vision_model.", ""},
                                         {"model.vision_model.", ""},
                                         {"language_model.", ""},
                                         {"model.", ""},
                                         {"backbone.", ""},
                                         {"model.language_model.", "model."},
                                         {"model.text_model.", "model."}};
  for (const Prefix& p : kPrefixes) {
    if (!name.starts_with(p.found)) continue;
    std::string out = renamed(arch, std::string(p.meant) + name.substr(p.found.size()));
    if (!out.empty()) return out;
  }
  return name;
}

TensorMap rename_tensors(const Arch& arch, TensorMap tensors) {
  TensorMap out;
  for (auto& [name, view] : tensors) out.emplace(rename_tensor(arch, name), std::move(view));
  return out;
}

const NameRule* find_rule(const Arch& arch, std::string_view ours, std::string_view* layer,
                          std::string_view* expert, std::string_view preferred) {
  const NameRule* found = nullptr;
  for (const NameRule& rule : arch.names) {
    std::string_view holes[3];
    if (!match(rule.ours, ours, holes)) continue;
    const bool wanted =
        preferred.empty() || std::string_view(rule.hf).find(preferred) != std::string_view::npos;
    if (found != nullptr && !wanted) continue;
    found = &rule;
    *layer = holes[0];
    *expert = holes[1];
    if (wanted) break;
  }
  return found;
}

std::string hf_name(const NameRule& rule, std::string_view layer, std::string_view expert) {
  const std::string_view holes[3] = {layer, expert, {}};
  return fill(rule.hf, holes);
}

std::vector<NameRule> with_names(std::vector<NameRule> more, const std::vector<NameRule>& base) {
  more.insert(more.end(), base.begin(), base.end());
  return more;
}

LinearSpec linear_spec(const TensorMap& tensors, const std::string& stem, bool transposed) {
  const std::string bias = stem + ".bias";
  LinearSpec out;
  out.weight = stem + ".weight";
  if (tensors.contains(bias)) out.bias = bias;
  out.transposed = transposed;
  return out;
}

LinearSpec linear_rows(LinearSpec linear, int64_t begin, int64_t n) {
  linear.row_begin = begin;
  linear.n_rows = n;
  return linear;
}

NormSpec norm_spec(const TensorMap& tensors, NormKind kind, double eps, const std::string& stem) {
  const std::string bias = stem + ".bias";
  NormSpec out;
  out.kind = kind;
  out.eps = static_cast<float>(eps);
  out.weight = stem + ".weight";
  if (tensors.contains(bias)) out.bias = bias;
  return out;
}

Activation activation_of(const std::string& name, Activation fallback) {
  static const std::map<std::string_view, Activation> known = {
      {"silu", Activation::silu},
      {"swish", Activation::silu},
      {"gelu", Activation::gelu_erf},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"relu", Activation::relu},
      {"relu2", Activation::relu_squared},
      {"quick_gelu", Activation::quick_gelu},
      {"tanh", Activation::tanh},
  };
  if (name.empty()) return fallback;
  const auto it = known.find(name);
  if (it != known.end()) return it->second;
  std::string names;
  for (const auto& [text, value] : known) names += (names.empty() ? "" : ", ") + std::string(text);
  raise(ErrorCode::unsupported, "activation \"{}\" is not supported; supported are {}", name,
        names);
}

}  // namespace lm
