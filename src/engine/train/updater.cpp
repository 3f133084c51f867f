#include "engine/train/updater.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace lm::train {
namespace {

constexpr const char* kEma = "ema";

ScheduleArgs schedule_args(const TrainOptions& o, int64_t n_steps) {
  ScheduleArgs s;
  s.total = n_steps;
  s.warmup = o.warmup < 1 ? static_cast<int64_t>(std::ceil(o.warmup * static_cast<double>(n_steps)))
                          : static_cast<int64_t>(o.warmup);
  s.min_factor = o.min_learning_rate;
  s.decay_share = o.decay_share;
  s.decay_shape = o.decay_shape;
  s.cycles = o.cycles;
  s.power = o.power;
  return s;
}

double own(double option, double of_optimizer) {
  return option < 0 ? of_optimizer : option;
}

}  // namespace

Updater::Updater(const TrainOptions& o, int64_t n_steps)
    : o_(o), optimizer_(make_optimizer(o.optimizer)), schedule_(schedule_args(o, n_steps)) {
  const Moments d = optimizer_->defaults();
  moments_ = {own(o.beta1, d.beta1), own(o.beta2, d.beta2), own(o.epsilon, d.epsilon),
              own(o.momentum, d.momentum)};
  averages_ = o.ema > 0 || o.optimizer == "schedule_free";
  rate(0);  // an unknown schedule is refused before the first step
}

double Updater::rate(int64_t step) const {
  return o_.learning_rate * schedule_factor(o_.schedule, step, schedule_);
}

UpdateArgs Updater::arguments(const Parameter& p, int64_t step) const {
  UpdateArgs a;
  static_cast<Moments&>(a) = moments_;
  a.lr = rate(step) * static_cast<double>(p.lr_scale);
  a.weight_decay = p.decay ? o_.weight_decay : 0.0;
  a.step = step + 1;
  return a;
}

void Updater::update(ParameterSet& parameters, size_t first, size_t last, int64_t step, double norm,
                     int64_t n_targets) {
  const at::NoGradGuard no_grad;
  for (size_t i = first; i < last; ++i) {
    Parameter& p = parameters.all()[i];
    UpdateArgs a = arguments(p, step);
    a.n_targets = n_targets;
    // As torch.nn.utils.clip_grad_norm_: the divisor has 1e-6 added.
    a.grad_scale = o_.max_grad_norm > 0 ? std::min(1.0, o_.max_grad_norm / (norm + 1e-6)) : 1.0;
    OptimizerState& state = states_[p.name];
    optimizer_->update(p, state, a);
    if (o_.ema == 0) continue;
    at::Tensor& ema = state[kEma];
    if (ema.defined())
      ema.lerp_(p.value, 1.0 - o_.ema);
    else
      ema = p.value.detach().clone();
  }
}

bool Updater::wants_curvature(int64_t steps_done) const {
  const int64_t every = optimizer_->curvature_every();
  return every > 0 && steps_done % every == 0;
}

void Updater::add_curvature(ParameterSet& parameters, size_t first, size_t last, int64_t step,
                            int64_t n_targets) {
  const at::NoGradGuard no_grad;
  for (size_t i = first; i < last; ++i) {
    Parameter& p = parameters.all()[i];
    UpdateArgs a = arguments(p, step);
    a.n_targets = n_targets;
    optimizer_->add_curvature(p, states_[p.name], a);
  }
}

void Updater::use_averages(ParameterSet& parameters, int64_t step) {
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters.all()) {
    const OptimizerState& state = states_[p.name];
    const auto ema = state.find(kEma);
    const at::Tensor average =
        ema != state.end() ? ema->second : optimizer_->average(p, state, arguments(p, step));
    if (!average.defined()) continue;
    trained_[p.name] = p.value.detach().clone();
    p.value.detach().copy_(average);
  }
}

void Updater::restore(ParameterSet& parameters) {
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters.all())
    if (const auto it = trained_.find(p.name); it != trained_.end())
      p.value.detach().copy_(it->second);
  trained_.clear();
}

double state_bytes(const TrainOptions& o) {
  return make_optimizer(o.optimizer)->state_bytes() + (o.ema > 0 ? 4 : 0);
}

}  // namespace lm::train
