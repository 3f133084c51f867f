// The scheduler of a model: everybody who runs the model hands in tasks, and each step of it
// evaluates tokens of many of them in one pass (continuous batching: Yu et al. 2022, Orca; chunked
// prefill: Agrawal et al. 2023, Sarathi). It has no thread of its own: whoever waits for a task
// runs the steps, for all, unless another one does already.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/api/model.h"
#include "engine/api/scheduler_stats.h"
#include "engine/infer/forward.h"
#include "engine/infer/prefix_cache.h"
#include "engine/infer/sequence.h"

namespace lm {

// Tokens of one sequence that wait to be evaluated. Derived classes say what happens then.
class Task {
 public:
  explicit Task(Sequence& s) : sequence(s) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // All tokens are evaluated: `logits` [n_logits, V] are valid during the call. Runs on any thread,
  // at the same time as those of other tasks; nobody else touches the task or its sequence. Returns
  // the tokens to evaluate next; none: the task is done for now. What it throws is the task's
  // error.
  virtual std::vector<int32_t> ready(std::span<const float> logits) = 0;
  // Then, under the scheduler's lock. False: the tokens stay where they are until the task is
  // started again.
  virtual bool publish() { return true; }

  Sequence& sequence;
  std::vector<int32_t> pending;  // the sequence's next tokens
  int64_t n_logits = 1;          // wanted for the last n_logits of them
  float* logits = nullptr;       // [n_logits, V] to fill, or null: only ready() needs them
  float* hidden = nullptr;       // [pending, C] after the final norm, or null
  int64_t priority = 0;          // lower comes first
  std::string fair_key;          // whose task it is: keys share the machine alike
  double step_seconds = 0;       // that the last step took, when it was for this task alone; else 0
  int64_t n_reused = 0;          // tokens of the sequence that were known, since start()

 private:
  friend class Scheduler;
  int64_t done_ = 0;      // pending tokens that were evaluated
  uint64_t arrival_ = 0;  // order of start()
  bool active_ = false, in_step_ = false;
  std::exception_ptr error_;
  int64_t remaining() const { return static_cast<int64_t>(pending.size()) - done_; }
};

class Scheduler {
 public:
  // The model's scheduler, made on first use; it lives as long as the model.
  static Scheduler& of(const Model& model);
  explicit Scheduler(const Model& model);

  // A new text of up to n_ctx tokens.
  std::unique_ptr<Sequence> open(std::shared_ptr<const Model> model, int64_t n_ctx);
  void close(std::unique_ptr<Sequence> sequence);

  // Puts a task with pending tokens in line; nothing when it is in line already.
  void start(Task& task);
  // Runs steps until `done()`, asked under the lock, or the task has nothing to do any more. Throws
  // the task's error (once), interrupted (what is not evaluated stays pending then).
  template <typename Done>
  void wait(Task& task, Done done) {
    std::unique_lock lock(mutex_);
    ++waiters_;
    try {
      while (!done() && task.active_ && !task.error_) wait_once(task, lock);
    } catch (const std::exception&) {
      --waiters_;
      throw;
    }
    --waiters_;
    if (task.error_) std::rethrow_exception(std::exchange(task.error_, nullptr));
  }
  // Runs steps for tasks that nobody waits for, or that are many, until `stop`: then readers may
  // look for their tokens now and then, instead of being woken by every step.
  void drive(const std::atomic<bool>& stop);
  // Whether waiting for the task would return at once, but for what `done()` of wait() asks.
  bool rests(const Task& task) {
    const std::lock_guard lock(mutex_);
    return !task.active_ || task.error_ != nullptr;
  }
  // Takes a task out of line, between two steps.
  void withdraw(Task& task);
  // Calls f under the lock; steps may be running.
  template <typename F>
  auto locked(F&& f) {
    const std::lock_guard lock(mutex_);
    return f();
  }
  // Calls f while no step runs and nobody else is in here.
  template <typename F>
  auto alone(F&& f) {
    std::unique_lock lock(mutex_);
    be_guest(lock, [&] { return !driving_; });
    return f();
  }
  // Calls f while no step touches the task, under the lock.
  template <typename F>
  auto quiet(const Task& task, F&& f) {
    std::unique_lock lock(mutex_);
    be_guest(lock, [&] { return !task.in_step_; });
    return f();
  }

  // Makes `to` a copy of the first n tokens of `from`: whole pages are shared, the rest is copied.
  // Only under alone().
  void copy(const Sequence& from, size_t n, Sequence& to);
  // How many of the tokens the prefix cache has. Only under alone().
  int64_t n_cached(const Sequence& sequence, std::span<const int32_t> tokens);

  Forward& forward() { return forward_; }
  SchedulerStats stats();

 private:
  struct Item {
    Task* task;
    int64_t n_tokens;
    int64_t first_logit, n_logits;  // rows of the batch's logits
    bool completes;                 // the task's last pending tokens
    std::vector<const float*> embeddings;
    std::vector<int32_t> next;
  };

  // Waits for a pause between steps; none begins meanwhile.
  template <typename Ready>
  void be_guest(std::unique_lock<std::mutex>& lock, Ready ready) {
    ++guests_;
    idle_.wait(lock, ready);
    --guests_;
    idle_.notify_all();
  }
  void wait_once(Task& task, std::unique_lock<std::mutex>& lock);
  void step(std::unique_lock<std::mutex>& lock);
  // What the next step evaluates; decoding tasks first, then prompts within what is left.
  void plan();
  void add(Task& task, int64_t n_tokens);
  bool admit(Task& task);
  bool has_twin(const Task& task, std::span<const int32_t> mine, int64_t n_cached) const;
  bool reserve(Task& task, int64_t n_tokens);
  bool reclaim(const Task& wanting);
  void preempt(Task& task);
  int64_t prompt_budget() const;
  void evaluate();
  void choose_next();
  void commit();
  void keep_pages(Sequence& sequence);
  void keep_end(Sequence& sequence);
  void finish(Task& task);
  void fail_all(std::exception_ptr error);

  const Model& model_;
  KvPages pages_;
  PrefixCache cache_;
  Forward forward_;

  std::mutex mutex_;
  std::condition_variable idle_;
  bool driving_ = false;
  int guests_ = 0, waiters_ = 0;
  std::vector<Task*> tasks_;                        // in line, in the order of arrival
  std::vector<Sequence*> sequences_;                // all
  std::unordered_map<std::string, double> served_;  // tokens evaluated for each fair key
  uint64_t arrivals_ = 0, clock_ = 0;
  SchedulerStats stats_;

  // The step at hand.
  std::vector<Item> batch_;
  std::vector<Segment> segments_;
  std::vector<float> logits_;
  int64_t n_logits_ = 0;
  // Seconds that a step takes: for decoding alone, and for each token of a prompt.
  double decode_seconds_ = 0.0, token_seconds_ = 0.0;
};

}  // namespace lm
