#include "engine/train/memory_plan.h"

#include <algorithm>

#include "engine/api/machine.h"
#include "engine/core/error.h"
#include "engine/train/caching_allocator.h"
#include "engine/train/head_loss.h"
#include "engine/train/updater.h"

namespace lm::train {
namespace {

double gigabytes(int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

// What libtorch's libraries of matrix products take for themselves once they work.
constexpr int64_t kLibraries = 120'000'000;

// Blocks of the allocator are rounded up, and passes of different lengths leave some of them idle.
int64_t with_rounding(int64_t bytes) {
  return bytes + bytes / 10;
}

}  // namespace

TrainMemory plan_training(TrainModel& model, const TrainOptions& o, int64_t tokens) {
  TrainMemory m;
  const int64_t live = allocator_stats().live;
  m.model = with_rounding(live);
  m.program = std::max<int64_t>(0, rss_bytes() - live - allocator_stats().cached) + kLibraries;
  m.optimizer = with_rounding(
      static_cast<int64_t>(state_bytes(o) * static_cast<double>(model.parameters().numel())));
  const ActivationBytes a = model.activation_bytes();
  const int64_t kept = o.recompute == "all" ? a.inputs + a.largest_kept : a.inputs + a.kept;
  m.activations = with_rounding(kept * tokens);
  int64_t weight = 0;  // the largest that is made from a quantised one at a time
  model.for_each_linear([&](Linear& l) { weight = std::max(weight, l.weight_bytes()); });
  m.scratch = with_rounding(std::max(a.scratch * tokens + weight, model.head_bytes()));
  return m;
}

std::string describe(const TrainMemory& m) {
  return fmt::format(
      "memory: {:.2f} GB = model {:.2f} + optimizer {:.2f} + activations {:.2f} + scratch {:.2f} + "
      "program {:.2f}",
      gigabytes(m.total()), gigabytes(m.model), gigabytes(m.optimizer), gigabytes(m.activations),
      gigabytes(m.scratch), gigabytes(m.program));
}

void check_memory(TrainModel& model, const TrainOptions& o, const RunPlan& plan) {
  const int64_t tokens = plan.most_tokens();
  const int64_t room = o.memory_limit > 0 ? static_cast<int64_t>(o.memory_limit * 1e9)
                                          : machine_info().free_bytes + rss_bytes();
  const int64_t need = plan_training(model, o, tokens).total();
  if (need <= room) return;
  std::string ways;
  const auto offer = [&](const std::string& setting, const TrainOptions& other, int64_t n) {
    const int64_t total = plan_training(model, other, n).total();
    if (total <= room)
      ways +=
          fmt::format("{}{} ({:.1f} GB)", ways.empty() ? "" : ", or ", setting, gigabytes(total));
  };
  TrainOptions other = o;
  for (int64_t b = o.batch_size / 2; b >= 1; b /= 2) {
    const size_t before = ways.size();
    offer(fmt::format("batch_size = {} with accumulate = {}", b, o.accumulate * o.batch_size / b),
          o, tokens * b / o.batch_size);
    if (ways.size() > before) break;
  }
  other.recompute = "all";
  offer("recompute = \"all\"", other, tokens);
  for (int64_t n = o.max_length / 2; n >= 16; n /= 2) {
    const size_t before = ways.size();
    offer(fmt::format("max_length = {}", n), o, tokens * n / o.max_length);
    if (ways.size() > before) break;
  }
  throw Error(ErrorCode::out_of_memory,
              fmt::format("training: the run needs {:.2f} GB; it may take {:.2f} GB",
                          gigabytes(need), gigabytes(room)),
              ways.empty() ? "a smaller model or a lora of small rank needs less" : "use " + ways);
}

}  // namespace lm::train
