// First values of LoRA that are taken from the weights.
#pragma once

#include "engine/api/train.h"
#include "engine/train/linear.h"

namespace lm::train {

// What lora.init asks for; null for values that leave the base alone (init_lora):
// - pissa (Meng et al. 2024, arXiv:2404.02948): the r largest singular values with their vectors,
//   B = U sqrt(S / scale), A = sqrt(S / scale) V^T; with init_iterations an approximation from
//   random directions (Halko et al. 2009), seeded by the run's seed and the name;
// - olora (Buyukakyuz 2024, arXiv:2406.01775): the first r columns of Q and rows of R of W = Q R;
// - loftq (Li et al. 2023, arXiv:2310.08659), one iteration: the r largest singular values of what
//   quantising W loses.
// pissa and olora leave W - scale B A as the base; loftq leaves W, which the run quantises.
std::function<LowRank(at::Tensor& w, const std::string& name)> lora_start(
    const TrainOptions& options);

}  // namespace lm::train
