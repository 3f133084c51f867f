#include "engine/train/divergence.h"

#include <cmath>
#include <filesystem>

#include "engine/core/error.h"
#include "engine/train/checkpoint.h"

namespace lm::train {
namespace {

std::string rows_of(const std::vector<Batch>& batches) {
  constexpr size_t kShown = 80;
  std::string rows;
  for (const Batch& b : batches)
    for (const int64_t row : b.rows)
      if (rows.size() < kShown) rows += (rows.empty() ? "" : ", ") + std::to_string(row + 1);
  return rows;
}

// What a run that failed can go on from.
std::string last_good(const std::string& output) {
  const std::vector<int64_t> steps = checkpoint_steps(output);
  if (steps.empty()) return "";
  return fmt::format("; resume = \"{}\" goes on from step {}", output, steps.back());
}

}  // namespace

void check_finite(const StepSums& sums, const std::vector<Batch>& batches,
                  const std::string& output, int64_t step) {
  if (std::isfinite(sums.loss.loss) && std::isfinite(sums.grad_norm)) return;
  // A checkpoint of the very weights that gave this loss is no good either.
  if (!std::isfinite(sums.loss.loss)) std::filesystem::remove_all(checkpoint_path(output, step));
  throw Error(
      ErrorCode::internal,
      fmt::format("training: the loss of step {} is {}, the gradient's norm {}; the batch has "
                  "rows {}",
                  step + 1, sums.loss.loss / static_cast<double>(std::max<int64_t>(1, sums.loss.n)),
                  sums.grad_norm, rows_of(batches)),
      fmt::format("a lower learning_rate or precision = \"f32\" usually helps{}",
                  last_good(output)));
}

}  // namespace lm::train
