#include "engine/train/roles.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/core/error.h"
#include "engine/train/lora_start.h"

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

// What the options ask for and cannot have together.
void check_method(const TrainOptions& o) {
  const bool lora = o.lora.rank > 0, adapter = trains_adapter(o);
  LM_CHECK(adapter || o.quantize == "none", ErrorCode::bad_option,
           "quantize is \"{}\"; only frozen weights can be quantised: it needs lora, or method",
           o.quantize);
  LM_CHECK(!lora || o.method == "auto", ErrorCode::bad_option,
           "method is \"{}\" and lora.rank {}; a run trains one adapter", o.method, o.lora.rank);
  LM_CHECK(!adapter || (o.train_only.empty() && o.freeze.empty()), ErrorCode::bad_option,
           "train_only and freeze choose weights to train; an adapter leaves them all alone: "
           "lora.targets chooses its matrices");
  const std::string& init = o.lora.init;
  LM_CHECK(init == "default" || o.init_adapter.empty(), ErrorCode::bad_option,
           "lora.init is \"{}\" and init_adapter \"{}\"; the first values come from one of them",
           init, o.init_adapter);
  LM_CHECK(!o.lora.dora || init == "default" || init == "gaussian", ErrorCode::unsupported,
           "lora.init is \"{}\" with dora; the magnitudes would be those of the changed weights, "
           "which no adapter file for the base as it was can hold",
           init);
  LM_CHECK(init != "loftq" || o.quantize != "none", ErrorCode::bad_option,
           "lora.init is \"loftq\" without quantize; it makes good what quantising loses");
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

Quantize quantize_of(const std::string& word) {
  return word == "nf4" ? Quantize::nf4 : word == "int8" ? Quantize::int8 : Quantize::none;
}

int64_t n_virtual_tokens(const TrainOptions& o) {
  return o.method == "prompt" || o.method == "prefix" ? o.virtual_tokens : 0;
}

bool trains_adapter(const TrainOptions& o) {
  return o.lora.rank > 0 || o.method != "auto";
}

bool names_tensor(const std::vector<std::string>& parts, const Arch& arch,
                  const std::string& tensor) {
  const std::string hf = hf_tensor_name(arch, tensor);
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return tensor.find(part) != std::string::npos || hf.find(part) != std::string::npos;
  });
}

double lora_scale(const LoraOptions& lora) {
  const auto r = static_cast<double>(lora.rank);
  const double alpha = lora.alpha > 0 ? lora.alpha : 2.0 * r;
  return alpha / (lora.rslora ? std::sqrt(r) : r);
}

std::string module_name(const Arch& arch, const std::string& tensor) {
  std::string name = hf_tensor_name(arch, tensor);
  name = name.substr(0, name.rfind(".weight"));
  return name.substr(name.rfind('.') + 1);
}

namespace {

using RoleOf = std::function<Role(const std::string& tensor)>;

// Matrices of the layers that stand alone: PEFT's format has no place for adapters of experts that
// lie in one tensor.
std::set<std::string> plain_matrices(const TensorMap& tensors) {
  std::set<std::string> out;
  for (const auto& [name, view] : tensors)
    if (is_layer_matrix(name) && view.shape.size() == 2) out.insert(name);
  return out;
}

bool is_router(const std::string& module) {
  return module == "gate" || module == "router";
}

RoleOf lora_roles(const TrainOptions& o, const Arch& arch, const TensorMap& tensors) {
  check_targets(o, arch, tensors);
  LoraPlan plan{o.lora.rank, static_cast<float>(lora_scale(o.lora)), o.lora.dora, lora_start(o)};
  return [plan, &arch, matrices = plain_matrices(tensors),
          targets = o.lora.targets](const std::string& tensor) -> Role {
    Role role;
    if (!matrices.contains(tensor)) return role;
    const std::string module = module_name(arch, tensor);
    const bool wanted = targets.empty()
                            ? !is_router(module)
                            : std::find(targets.begin(), targets.end(), module) != targets.end();
    if (wanted) role.lora = plan;
    return role;
  };
}

// Keys, values, and the units of gated feed-forward blocks before the last matrix (Liu et al.
// 2022): `up` in place of the inputs of `down` (models/adapter_rows.h).
RoleOf ia3_roles(const TensorMap& tensors) {
  const std::set<std::string> matrices = plain_matrices(tensors);
  for (const char* needed : {"blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.ffn_gate.weight",
                             "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"})
    LM_CHECK(matrices.contains(needed), ErrorCode::unsupported,
             "training: ia3 needs keys, values, gate, up and down as matrices of their own; the "
             "model has no \"{}\"",
             needed);
  return [matrices](const std::string& tensor) -> Role {
    Role role;
    role.ia3 = matrices.contains(tensor) &&
               (tensor.ends_with(".attn_k.weight") || tensor.ends_with(".attn_v.weight") ||
                tensor.ends_with(".ffn_up.weight"));
    return role;
  };
}

RoleOf weight_roles(const TrainOptions& o, const Arch& arch) {
  return [&arch, only = o.train_only, freeze = o.freeze](const std::string& tensor) -> Role {
    Role role;
    role.trained =
        (only.empty() || names_tensor(only, arch, tensor)) && !names_tensor(freeze, arch, tensor);
    return role;
  };
}

RoleOf adapter_roles(const TrainOptions& o, const Arch& arch, const TensorMap& tensors) {
  if (o.lora.rank > 0) return lora_roles(o, arch, tensors);
  if (o.method == "ia3") return ia3_roles(tensors);
  return [](const std::string&) -> Role { return {}; };  // virtual tokens are no part of a matrix
}

}  // namespace

RoleOf make_roles(const TrainOptions& o, const Arch& arch, const TensorMap& tensors) {
  check_method(o);
  if (!trains_adapter(o)) return weight_roles(o, arch);
  return [roles = adapter_roles(o, arch, tensors), quantize = quantize_of(o.quantize),
          &arch](const std::string& tensor) {
    Role role = roles(tensor);
    if (is_layer_matrix(tensor) && !is_router(module_name(arch, tensor))) role.quantize = quantize;
    return role;
  };
}

}  // namespace lm::train
