// Learning-rate schedules: a factor for each step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lm::train {

struct ScheduleArgs {
  int64_t warmup = 0, total = 1;
  double min_factor = 0, decay_share = 0.2, cycles = 1, power = 1;
  std::string decay_shape = "sqrt";  // of wsd: sqrt, linear, cosine
};

// Steps count from 0. The formulas are transformers' (optimization.py).
struct Schedule {
  const char* name;
  // Factor at a step not below `warmup`.
  double (*factor)(int64_t step, const ScheduleArgs& args);
};

const std::vector<Schedule>& schedules();
// The factor: step / warmup while it rises, then the schedule's. Throws bad_option for an unknown
// name, listing those known.
double schedule_factor(const std::string& name, int64_t step, const ScheduleArgs& args);

}  // namespace lm::train
