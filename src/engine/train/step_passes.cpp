#include "engine/train/step_passes.h"

#include <array>
#include <atomic>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"

namespace lm::train {
namespace {

// A second Ctrl-C ends the step itself; the last checkpoint stays.
void check_interrupt_hard() {
  LM_CHECK(g_interrupt_count.load(std::memory_order_relaxed) < 2, ErrorCode::interrupted,
           "training: interrupted before a checkpoint");
}

}  // namespace

StepSums StepPasses::count(const std::vector<Batch>& batches) {
  std::array<double, 2> n = {};
  for (const Batch& b : batches) {
    n[0] += static_cast<double>(b.target.size());
    n[1] += static_cast<double>(b.n_tokens());
  }
  group_.sum(n);
  StepSums sums;
  sums.targets = static_cast<int64_t>(n[0]);
  sums.tokens = static_cast<int64_t>(n[1]);
  return sums;
}

void StepPasses::sum_all(LossSums* sums) {
  std::array<double, 4> n = {sums->loss, sums->entropy, static_cast<double>(sums->correct),
                             static_cast<double>(sums->n)};
  group_.sum(n);
  *sums = {n[0], n[1], static_cast<int64_t>(n[2]), static_cast<int64_t>(n[3])};
}

StepSums StepPasses::gradients(const std::vector<Batch>& batches, uint64_t seed, bool draw,
                               const ApplyGradients& apply) {
  ParameterSet& parameters = model_.parameters();
  StepSums sums = count(batches);
  const auto weight = static_cast<float>(1.0 / static_cast<double>(sums.targets));
  double squares = 0;
  const auto complete = [&](size_t first, size_t last) {
    group_.sum_grads(parameters, first, last);
    squares += parameters.grad_squares(first, last);
    sums.grad_norm = std::sqrt(squares);
    apply(first, last, sums);
  };
  const bool by_block = parameters.grads_by_block();
  parameters.zero_grad();
  LossSums loss;
  for (size_t i = 0; i < batches.size(); ++i) {
    const uint64_t pass =
        i * static_cast<uint64_t>(group_.size()) + static_cast<uint64_t>(group_.rank());
    loss += model_.step(batches[i], weight, seed,
                        draw ? std::optional<uint64_t>(seed + pass + 1) : std::nullopt,
                        by_block ? OnGradients(complete) : nullptr);
    check_interrupt_hard();
  }
  sum_all(&loss);
  sums.loss = loss;
  if (!by_block) complete(0, parameters.all().size());
  return sums;
}

LossSums StepPasses::evaluate(const std::vector<Batch>& batches) {
  LossSums sums;
  for (auto i = static_cast<size_t>(group_.rank()); i < batches.size();
       i += static_cast<size_t>(group_.size())) {
    sums += model_.evaluate(batches[i]);
    check_interrupt_hard();
  }
  sum_all(&sums);
  return sums;
}

}  // namespace lm::train
