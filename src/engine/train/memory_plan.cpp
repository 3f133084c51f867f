#include "engine/train/memory_plan.h"

#include <c10/core/ScalarType.h>

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
  const int64_t kept = o.recompute == "all"   ? a.largest_kept
                       : o.recompute == "mlp" ? a.kept - a.kept_by_mlp + a.largest_kept
                                              : a.kept;
  m.activations = with_rounding((a.inputs + kept) * tokens);
  int64_t weight = 0;  // the largest that is made from a quantised one at a time
  model.for_each_linear([&](Linear& l) { weight = std::max(weight, l.weight_bytes()); });
  m.scratch = with_rounding(std::max(a.scratch * tokens + weight, model.head_bytes()));
  if (o.optimizer_in_backward) {
    if (model.parameters().grads_by_block())
      m.scratch += with_rounding(model.block_grad_bytes());
    else  // a setting that is only thought of: all gradients are there
      m.model -= with_rounding(4 * model.parameters().numel() - model.block_grad_bytes());
  }
  return m;
}

std::string describe(const TrainMemory& m) {
  return fmt::format(
      "memory: {:.2f} GB = model {:.2f} + optimizer {:.2f} + activations {:.2f} + scratch {:.2f} + "
      "program {:.2f}",
      gigabytes(m.total()), gigabytes(m.model), gigabytes(m.optimizer), gigabytes(m.activations),
      gigabytes(m.scratch), gigabytes(m.program));
}

int64_t memory_room(const TrainOptions& o, int64_t local_processes) {
  return o.memory_limit > 0 ? static_cast<int64_t>(o.memory_limit * 1e9)
                            : machine_info().free_bytes / local_processes + rss_bytes();
}

bool shrink_passes(TrainModel& model, TrainOptions* o, int64_t room) {
  const int64_t before = o->batch_size;
  while (o->batch_size > 1 &&
         plan_training(model, *o, o->batch_size * o->max_length).total() > room) {
    const int64_t rows = o->batch_size * o->accumulate;
    do o->batch_size -= 1;
    while (rows % o->batch_size != 0);
    o->accumulate = rows / o->batch_size;
  }
  return o->batch_size != before;
}

namespace {

// Settings that would fit, each with its need.
class Ways {
 public:
  Ways(TrainModel& model, int64_t room) : model_(model), room_(room) {}

  // Whether it fits; it is listed then.
  bool offer(const std::string& setting, const TrainOptions& o, int64_t tokens) {
    return offer(setting, plan_training(model_, o, tokens).total());
  }
  bool offer(const std::string& setting, int64_t total) {
    if (total > room_) return false;
    text_ +=
        fmt::format("{}{} ({:.1f} GB)", text_.empty() ? "" : ", or ", setting, gigabytes(total));
    return true;
  }
  const std::string& text() const { return text_; }

 private:
  TrainModel& model_;
  int64_t room_;
  std::string text_;
};

// Frozen matrices in 4 bits instead of the computing type.
int64_t saved_by_nf4(TrainModel& model) {
  int64_t bytes = 0;
  model.for_each_linear([&](Linear& l) {
    if (!l.trained() && l.rank() > 0 && l.weight_bytes() == 0)
      bytes += l.out() * l.in() * static_cast<int64_t>(c10::elementSize(l.compute())) -
               l.out() * l.in() * 53 / 100;
  });
  return bytes;
}

}  // namespace

void check_memory(TrainModel& model, const TrainOptions& o, const RunPlan& plan, int64_t room) {
  const int64_t tokens = plan.most_tokens();
  const int64_t need = plan_training(model, o, tokens).total();
  if (need <= room) return;
  Ways ways(model, room);
  for (int64_t b = o.batch_size / 2; b >= 1 && !o.optimizer_in_backward; b /= 2)
    if (ways.offer(
            fmt::format("batch_size = {} with accumulate = {}", b, o.accumulate * o.batch_size / b),
            o, tokens * b / o.batch_size))
      break;
  for (const char* word : {"mlp", "all"}) {
    TrainOptions other = o;
    other.recompute = word;
    if (ways.offer(fmt::format("recompute = \"{}\"", word), other, tokens)) break;
  }
  for (int64_t n = o.max_length / 2; n >= 16; n /= 2)
    if (ways.offer(fmt::format("max_length = {}", n), o, tokens * n / o.max_length)) break;
  if (o.lora.rank > 0 && o.quantize == "none") {
    ways.offer("quantize = \"nf4\"", need - saved_by_nf4(model));
  } else if (o.lora.rank == 0) {
    TrainOptions other = o;
    other.optimizer = "adamw_8bit";
    ways.offer("optimizer = \"adamw_8bit\"", other, tokens);
    other = o;
    other.optimizer_in_backward = true;
    ways.offer("optimizer_in_backward = true with max_grad_norm = 0", other, tokens);
  }
  throw Error(ErrorCode::out_of_memory,
              fmt::format("training: the run needs {:.2f} GB; it may take {:.2f} GB",
                          gigabytes(need), gigabytes(room)),
              ways.text().empty() ? "a smaller model or a lora of small rank needs less"
                                  : "use " + ways.text());
}

}  // namespace lm::train
