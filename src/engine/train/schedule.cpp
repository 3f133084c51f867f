#include "engine/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"

namespace lm::train {
namespace {

using std::numbers::pi;

// Share of the steps after the warm-up that are done.
double share(int64_t step, const ScheduleArgs& a) {
  return static_cast<double>(step - a.warmup) /
         static_cast<double>(std::max<int64_t>(1, a.total - a.warmup));
}

double cosine(double x) {
  return std::max(0.0, 0.5 * (1.0 + std::cos(pi * x)));
}

// Flat, then down to the lowest: as 1 - sqrt (Hägele et al. 2024, arXiv:2405.18392), a line or a
// half cosine.
double wsd(int64_t step, const ScheduleArgs& a) {
  const double decay = std::max(1.0, std::floor(a.decay_share * static_cast<double>(a.total)));
  const double begin = static_cast<double>(a.total) - decay;
  const double x = std::clamp((static_cast<double>(step) - begin) / decay, 0.0, 1.0);
  const double factor = a.decay_shape == "linear"   ? 1.0 - x
                        : a.decay_shape == "cosine" ? cosine(x)
                                                    : 1.0 - std::sqrt(x);
  return a.min_factor + (1.0 - a.min_factor) * factor;
}

}  // namespace

const std::vector<Schedule>& schedules() {
  static const std::vector<Schedule> list = {
      {"constant", [](int64_t, const ScheduleArgs&) { return 1.0; }},
      {"linear", [](int64_t s, const ScheduleArgs& a) { return std::max(0.0, 1.0 - share(s, a)); }},
      {"cosine", [](int64_t s, const ScheduleArgs& a) { return cosine(share(s, a)); }},
      {"cosine_min",
       [](int64_t s, const ScheduleArgs& a) {
         return a.min_factor + (1.0 - a.min_factor) * cosine(share(s, a));
       }},
      {"wsd", wsd},
      {"polynomial",
       [](int64_t s, const ScheduleArgs& a) {
         return s > a.total
                    ? a.min_factor
                    : a.min_factor + (1.0 - a.min_factor) *
                                         std::pow(std::max(0.0, 1.0 - share(s, a)), a.power);
       }},
      {"restarts",
       [](int64_t s, const ScheduleArgs& a) {
         const double x = share(s, a);
         return x >= 1.0 ? 0.0 : cosine(std::fmod(a.cycles * x, 1.0));
       }},
      {"inverse_sqrt",
       [](int64_t s, const ScheduleArgs& a) {
         const double w = static_cast<double>(std::max<int64_t>(1, a.warmup));
         return std::sqrt(w / std::max(w, static_cast<double>(s)));
       }},
  };
  return list;
}

double schedule_factor(const std::string& name, int64_t step, const ScheduleArgs& args) {
  std::string known;
  for (const Schedule& s : schedules()) {
    if (name == s.name)
      return step < args.warmup ? static_cast<double>(step) /
                                      static_cast<double>(std::max<int64_t>(1, args.warmup))
                                : s.factor(step, args);
    known += std::string(known.empty() ? "" : ", ") + s.name;
  }
  raise(ErrorCode::bad_option, "schedule is \"{}\"; expected one of {}", name, known);
}

}  // namespace lm::train
