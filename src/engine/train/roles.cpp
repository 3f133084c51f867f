#include "engine/train/roles.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/core/error.h"

namespace lm::train {
namespace {

std::string hf_tensor_name(const Arch& arch, const std::string& tensor) {
  std::string_view layer, expert;
  const NameRule* rule = find_rule(arch, tensor, &layer, &expert);
  return rule != nullptr ? hf_name(*rule, layer, expert) : tensor;
}

// Matrices of the layers: what an adapter changes unless told otherwise.
bool is_layer_matrix(const std::string& tensor) {
  return tensor.starts_with("blk.") && tensor.ends_with(".weight");
}

Quantize quantize_of(const std::string& word) {
  return word == "nf4" ? Quantize::nf4 : word == "int8" ? Quantize::int8 : Quantize::none;
}

void check_targets(const TrainOptions& o, const Arch& arch, const TensorMap& tensors) {
  std::set<std::string> modules;
  for (const auto& [name, view] : tensors)
    if (is_layer_matrix(name) && view.shape.size() == 2) modules.insert(module_name(arch, name));
  std::string known;
  for (const std::string& m : modules) known += (known.empty() ? "" : ", ") + m;
  for (const std::string& target : o.lora.targets)
    LM_CHECK(modules.contains(target), ErrorCode::bad_option,
             "lora.targets has \"{}\"; the model's matrices are {}", target, known);
}

}  // namespace

bool names_tensor(const std::vector<std::string>& parts, const Arch& arch,
                  const std::string& tensor) {
  const std::string hf = hf_tensor_name(arch, tensor);
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return tensor.find(part) != std::string::npos || hf.find(part) != std::string::npos;
  });
}

double lora_alpha(const LoraOptions& lora) {
  return lora.alpha > 0 ? lora.alpha : 2.0 * static_cast<double>(lora.rank);
}

double lora_scale(const LoraOptions& lora) {
  const auto r = static_cast<double>(lora.rank);
  return lora_alpha(lora) / (lora.rslora ? std::sqrt(r) : r);
}

std::string module_name(const Arch& arch, const std::string& tensor) {
  std::string name = hf_tensor_name(arch, tensor);
  name = name.substr(0, name.rfind(".weight"));
  return name.substr(name.rfind('.') + 1);
}

std::function<Role(const std::string&)> make_roles(const TrainOptions& o, const Arch& arch,
                                                   const TensorMap& tensors) {
  if (o.lora.rank > 0) {
    check_targets(o, arch, tensors);
    const LoraPlan plan{o.lora.rank, static_cast<float>(lora_scale(o.lora))};
    // PEFT's format has no place for adapters of experts that lie in one tensor.
    std::set<std::string> matrices;
    for (const auto& [name, view] : tensors)
      if (is_layer_matrix(name) && view.shape.size() == 2) matrices.insert(name);
    const Quantize quantize = quantize_of(o.quantize);
    return [plan, quantize, &arch, matrices,
            targets = o.lora.targets](const std::string& tensor) -> Role {
      if (!is_layer_matrix(tensor)) return {};
      const std::string module = module_name(arch, tensor);
      const bool router = module == "gate" || module == "router";
      Role role;
      role.quantize = router ? Quantize::none : quantize;
      if (!matrices.contains(tensor)) return role;
      const bool wanted = targets.empty()
                              ? !router
                              : std::find(targets.begin(), targets.end(), module) != targets.end();
      if (wanted) role.lora = plan;
      return role;
    };
  }
  LM_CHECK(o.quantize == "none", ErrorCode::bad_option,
           "quantize is \"{}\"; only frozen weights can be quantised: it needs lora", o.quantize);
  return [&arch, only = o.train_only, freeze = o.freeze](const std::string& tensor) -> Role {
    return {
        (only.empty() || names_tensor(only, arch, tensor)) && !names_tensor(freeze, arch, tensor),
        {}};
  };
}

}  // namespace lm::train
