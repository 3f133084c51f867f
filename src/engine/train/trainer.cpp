#include "engine/train/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>

#include "engine/core/cpu_features.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/train/caching_allocator.h"
#include "engine/train/checkpoint.h"
#include "engine/train/divergence.h"
#include "engine/train/history.h"
#include "engine/train/memory_plan.h"
#include "engine/train/process_group.h"
#include "engine/train/run_files.h"
#include "engine/train/run_setup.h"
#include "engine/train/step_passes.h"
#include "engine/train/updater.h"

namespace lm::train {
namespace {

class Run {
 public:
  Run(const TrainOptions& options, const TrainSink& sink, ProcessGroup& group)
      : o_(options),
        sink_(sink),
        group_(group),
        setup_(o_, sink),
        plan_(make_plan()),
        passes_(*setup_.model, group),
        updater_(o_, plan_.n_steps()),
        history_(o_.output) {
    state_.data_hash = setup_.train.hash();
    state_.options = options_json(o_);
  }

  TrainResult run() {
    if (o_.resume) go_on();
    if (group_.leads()) write_description(setup_, o_);
    setup_.model->refresh();
    note_plan();
    note(describe(plan_training(*setup_.model, o_, plan_.most_tokens())));
    check_memory(*setup_.model, o_, plan_, memory_room(o_, group_.local_size()));
    start_ = Clock::now();
    start_tokens_ = state_.tokens;
    start_step_ = state_.step;
    while (state_.step < plan_.n_steps() && !finished_early_) {
      step();
      if (updater_.wants_curvature(state_.step) && state_.step < plan_.n_steps())
        measure_curvature();
      const bool epoch_end = state_.step % plan_.steps_per_epoch() == 0;
      const bool last = state_.step == plan_.n_steps();
      if (due(o_.eval_every, epoch_end || last)) evaluate();
      const bool stop = should_stop();
      if (due(o_.save_every, epoch_end) || last || stop || finished_early_) save();
      if (stop && !last) {
        stopped_ = true;
        break;
      }
    }
    return finish();
  }

 private:
  RunPlan make_plan() {
    LM_CHECK(group_.size() == 1 || !o_.optimizer_in_backward, ErrorCode::bad_option,
             "optimizer_in_backward works in one process; WORLD_SIZE is {}", group_.size());
    if (o_.auto_batch_size &&
        shrink_passes(*setup_.model, &o_, memory_room(o_, group_.local_size())))
      note(fmt::format("auto_batch_size: batch_size = {}, accumulate = {}", o_.batch_size,
                       o_.accumulate));
    // Each process saw another amount of free memory; they must cut the steps alike.
    o_.batch_size = std::stoll(group_.from_leader(std::to_string(o_.batch_size)));
    o_.accumulate = std::stoll(group_.from_leader(std::to_string(o_.accumulate)));
    return RunPlan(setup_.train, o_, group_.rank(), group_.size());
  }

  using Clock = std::chrono::steady_clock;

  // Whether something is to happen after this step: every n steps, or, for 0, at `otherwise`.
  bool due(int64_t every, bool otherwise) const {
    return every > 0 ? state_.step % every == 0 || state_.step == plan_.n_steps() : otherwise;
  }

  // Whether any process was asked to; all hear of it after the same step.
  bool should_stop() {
    double asked = sink_.should_stop && sink_.should_stop() ? 1 : 0;
    group_.sum({&asked, 1});
    return asked > 0;
  }

  void go_on() {
    const std::vector<int64_t> steps = checkpoint_steps(o_.output);
    LM_CHECK(!steps.empty(), ErrorCode::not_found, "\"{}\" has no checkpoint to resume from",
             o_.output);
    const std::string folder = checkpoint_path(o_.output, steps.back());
    const RunState saved = load_checkpoint(folder, &setup_.model->parameters(), &updater_.states());
    LM_CHECK(saved.data_hash == state_.data_hash, ErrorCode::bad_file,
             "the data differ from those of the run in \"{}\"; expected the same rows in the same "
             "order",
             o_.output);
    state_ = saved;
    if (group_.leads()) history_.truncate(state_.step);
    note(fmt::format("resumed from {} at step {}", folder, state_.step));
  }

  void step() {
    const auto begin = Clock::now();
    ParameterSet& parameters = setup_.model->parameters();
    const std::vector<Batch> batches = plan_.batches(state_.step);
    const StepSums sums = passes_.gradients(
        batches, seed(), false, [&](size_t first, size_t last, const StepSums& so_far) {
          check_finite(so_far, batches, o_.output, state_.step);
          updater_.update(parameters, first, last, state_.step, so_far.grad_norm, so_far.targets);
        });
    setup_.model->refresh();
    ++state_.step;
    state_.tokens += sums.tokens;
    TrainEvent e = event("step");
    fill(&e, sums.loss);
    last_loss_ = e.loss;
    e.grad_norm = sums.grad_norm;
    e.learning_rate = updater_.rate(state_.step - 1);
    e.tokens_per_s = static_cast<double>(sums.tokens) / seconds(begin);
    publish(e);
  }

  static void fill(TrainEvent* e, const LossSums& sums) {
    const auto n = static_cast<double>(sums.n);
    e->loss = sums.loss / n;
    e->accuracy = static_cast<double>(sums.correct) / n;
    e->entropy = sums.entropy / n;
  }

  uint64_t seed() const {
    return static_cast<uint64_t>(o_.seed) * 0x9e3779b97f4a7c15u +
           static_cast<uint64_t>(state_.step) * 1000003u;
  }

  // Gradients of the loss of targets drawn from the model, on the next step's batches.
  void measure_curvature() {
    ParameterSet& parameters = setup_.model->parameters();
    const std::vector<Batch> batches = plan_.batches(state_.step);
    passes_.gradients(batches, seed(), true, [&](size_t first, size_t last, const StepSums& sums) {
      updater_.add_curvature(parameters, first, last, state_.step, sums.targets);
    });
  }

  // Calls f while the averages of the weights, if there are any, stand in their place.
  template <typename F>
  void with_averages(F&& f) {
    if (!updater_.averages()) return f();
    ParameterSet& parameters = setup_.model->parameters();
    updater_.use_averages(parameters, state_.step);
    setup_.model->refresh();
    f();
    updater_.restore(parameters);
    setup_.model->refresh();
  }

  void evaluate() {
    if (setup_.eval.rows.empty()) return;
    TrainEvent e = event("eval");
    with_averages([&] { fill(&e, passes_.evaluate(eval_batches(setup_.eval, o_))); });
    last_eval_ = e.loss;
    publish(e);
    if (state_.best_step < 0 || e.loss < state_.best_loss) {
      state_.best_loss = e.loss;
      state_.best_step = state_.step;
      state_.without_better = 0;
      if (o_.keep_best) save();
    } else if (++state_.without_better >= o_.patience && o_.patience > 0) {
      finished_early_ = true;
      note(fmt::format("stopped: the evaluation's loss has not fallen for {} evaluations",
                       state_.without_better));
    }
  }

  void save() {
    if (!group_.leads() || saved_step_ == state_.step) return;
    saved_step_ = state_.step;
    TrainEvent e = event("save");
    e.path = save_checkpoint(o_.output, state_, setup_.model->parameters(), updater_.states(),
                             [&](const std::string& folder) {
                               with_averages([&] { save_adapter(setup_, o_, folder); });
                             });
    remove_old_checkpoints(o_.output, o_.keep, o_.keep_best ? state_.best_step : -1);
    publish(e);
  }

  TrainResult finish() {
    group_.wait_for_all();  // the leader's checkpoints are written
    if (!stopped_ && o_.keep_best && state_.best_step >= 0 && state_.best_step != state_.step) {
      load_checkpoint(checkpoint_path(o_.output, state_.best_step), &setup_.model->parameters(),
                      &updater_.states());
      setup_.model->refresh();
      note(fmt::format("the result is the checkpoint of step {}, whose evaluation was best",
                       state_.best_step));
    }
    TrainResult r;
    r.output = o_.output;
    r.steps = state_.step;
    r.loss = last_loss_;
    r.eval_loss = last_eval_;
    r.seconds = seconds(start_);
    r.stopped = stopped_;
    with_averages([&] {
      // Writing takes memory of its own; these have done their work.
      updater_.states().clear();
      setup_.model->parameters().close_grads(0, setup_.model->parameters().all().size());
      release_cached_memory();
      if (group_.leads()) save_result(setup_, o_, &r);
    });
    r.adapter = group_.from_leader(r.adapter);  // they are written when the others hear of them
    r.model = group_.from_leader(r.model);
    return r;
  }

  TrainEvent event(const char* kind) const {
    TrainEvent e;
    e.kind = kind;
    e.step = state_.step;
    e.n_steps = plan_.n_steps();
    e.epoch = plan_.epoch(state_.step);
    e.tokens = state_.tokens;
    e.memory = peak_memory();
    const int64_t done = state_.step - start_step_;
    e.eta_s = done > 0 ? seconds(start_) / static_cast<double>(done) *
                             static_cast<double>(plan_.n_steps() - state_.step)
                       : 0;
    return e;
  }

  void publish(const TrainEvent& e) {
    if (!group_.leads()) return;
    history_.add(e);
    if (sink_.on_event) sink_.on_event(e);
  }
  void note(const std::string& text) const {
    if (sink_.on_note && group_.leads()) sink_.on_note(text);
  }
  void note_plan() const {
    note(fmt::format(
        "{} steps of {} rows ({} packed rows of at most {} tokens, {:.0f} % full), {} "
        "parameters trained in {}",
        plan_.n_steps(), o_.batch_size * o_.accumulate * group_.size(), plan_.n_bins(),
        o_.max_length, 100 * plan_.fill(), setup_.model->parameters().numel(), o_.precision));
    constexpr int64_t kFew = 20;
    if (plan_.n_steps() < kFew) note("few steps: a smaller batch_size or more epochs teach more");
  }
  static double seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }

  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  TrainOptions o_;
  const TrainSink& sink_;
  ProcessGroup& group_;
  RunSetup setup_;
  RunPlan plan_;
  StepPasses passes_;
  Updater updater_;
  History history_;
  RunState state_;
  Clock::time_point start_;
  int64_t start_tokens_ = 0, start_step_ = 0, saved_step_ = -1;
  double last_loss_ = kNone, last_eval_ = kNone;
  bool finished_early_ = false, stopped_ = false;
};

}  // namespace

TrainResult run_training(const TrainOptions& options, const TrainSink& sink) {
  ProcessGroup group;
  TrainOptions o = options;
  o.output = group.from_leader(o.output);
  const int64_t cores = std::max<int64_t>(1, available_cores() / group.local_size());
  at::set_num_threads(static_cast<int>(o.threads > 0 ? o.threads : cores));
  install_caching_allocator();
  std::error_code failed;
  std::filesystem::create_directories(o.output, failed);
  LM_CHECK(!failed, ErrorCode::io, "{}: {}", o.output, failed.message());
  const struct Release {
    ~Release() { release_cached_memory(); }
  } at_the_end;
  return Run(o, sink, group).run();
}

}  // namespace lm::train
