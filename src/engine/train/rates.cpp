#include "engine/train/rates.h"

#include <cmath>
#include <cstdlib>

#include "engine/train/roles.h"

namespace lm::train {
namespace {

// How far below the output a parameter lies: 0 behind the last layer, n_layers + 1 for embeddings.
int64_t depth(const std::string& name, int64_t n_layers) {
  if (name.starts_with("blk.")) return n_layers - std::strtoll(name.c_str() + 4, nullptr, 10);
  return name.starts_with("token_embd") || name.starts_with("position_embd") ? n_layers + 1 : 0;
}

}  // namespace

void set_rates(const TrainOptions& o, const Arch& arch, int64_t n_layers,
               ParameterSet* parameters) {
  for (Parameter& p : parameters->all()) {
    double scale = p.name.ends_with(".lora_b") ? o.lora.lr_ratio : 1.0;
    if (o.layer_decay != 1)
      scale *= std::pow(o.layer_decay, static_cast<double>(depth(p.name, n_layers)));
    p.lr_scale = static_cast<float>(scale);
    if (names_tensor(o.no_decay, arch, p.name)) p.decay = false;
  }
}

}  // namespace lm::train
