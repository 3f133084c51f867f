#include "engine/infer/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "engine/api/machine.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/thread_pool.h"

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;

// Texts of the model's full length that the cache has room for, memory permitting.
constexpr int64_t kFullTexts = 16;

// drive() leaves fewer tasks to those who wait for them: a hand-over costs more than it saves.
constexpr size_t kManyTasks = 3;
constexpr auto kGlance = std::chrono::milliseconds(2);

KvType kv_type(const Model& model) {
  return kv_type_of(model.info().kv_cache);
}

// At least one text of full length; more as long as they take no more than an eighth of the
// machine's memory.
int64_t pool_pages(const Model& model) {
  const ModelSpec& spec = model.spec();
  if (model.info().kv_cache_tokens > 0) return pages_for(model.info().kv_cache_tokens);
  const int64_t one = pages_for(spec.context_length + spec.n_meta) +
                      (spec.encoder ? pages_for(spec.encoder->context_length) : 0);
  const auto page = static_cast<int64_t>(std::max<size_t>(kv_page_bytes(spec, kv_type(model)), 64));
  return std::max(one, std::min(kFullTexts * one, machine_info().memory_bytes / 8 / page));
}

int64_t step_capacity(const ModelSpec& spec) {
  return spec.causal() ? std::min(spec.context_length, Forward::kMicroBatch) : spec.context_length;
}

}  // namespace

Scheduler& Scheduler::of(const Model& model) {
  return *static_cast<Scheduler*>(
      model.runtime([&] { return std::make_shared<Scheduler>(model); }));
}

Scheduler::Scheduler(const Model& model)
    : model_(model),
      pages_(model.spec(), kv_type(model), pool_pages(model)),
      cache_(pages_),
      forward_(model.spec(), model.weights(), pages_, model.spec().context_length,
               step_capacity(model.spec())) {}

std::unique_ptr<Sequence> Scheduler::open(std::shared_ptr<const Model> model, int64_t n_ctx) {
  const std::lock_guard lock(mutex_);
  auto made = std::make_unique<Sequence>(std::move(model), n_ctx, pages_);
  sequences_.push_back(made.get());
  return made;
}

void Scheduler::close(std::unique_ptr<Sequence> sequence) {
  const auto model = sequence->model;  // outlives the lock
  alone([&] {
    keep_end(*sequence);
    std::erase(sequences_, sequence.get());
    sequence.reset();
  });
}

void Scheduler::start(Task& task) {
  const std::lock_guard lock(mutex_);
  if (task.active_ || task.pending.empty()) return;
  task.active_ = true;
  task.done_ = 0;
  task.n_reused = 0;
  task.arrival_ = ++arrivals_;
  // A key that was away has no claim to what others got meanwhile.
  double least = 0.0;
  bool any = false;
  for (const Task* other : tasks_) {
    const double served = served_[other->fair_key];
    least = any ? std::min(least, served) : served;
    any = true;
  }
  double& mine = served_[task.fair_key];
  if (any) mine = std::max(mine, least);
  tasks_.push_back(&task);
  if (tasks_.size() == 1 || tasks_.size() == kManyTasks) idle_.notify_all();  // drive() may sleep
}

// What is not evaluated yet stays pending.
void Scheduler::finish(Task& task) {
  task.active_ = false;
  task.pending.erase(task.pending.begin(), task.pending.begin() + task.done_);
  task.done_ = 0;
  std::erase(tasks_, &task);
}

void Scheduler::withdraw(Task& task) {
  quiet(task, [&] {
    if (task.active_) finish(task);
    task.pending.clear();
  });
}

void Scheduler::wait_once(Task& task, std::unique_lock<std::mutex>& lock) {
  if (interrupt_pending() && !task.in_step_) {
    finish(task);
    check_interrupt();
  }
  if (driving_ || guests_ > 0) {
    idle_.wait_for(lock, std::chrono::milliseconds(20));
    return;
  }
  driving_ = true;
  step(lock);
  driving_ = false;
  idle_.notify_all();
}

void Scheduler::drive(const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex_);
  bool abandoned = false;  // nobody waited at the last look either
  while (!stop.load(std::memory_order_relaxed)) {
    const bool needed =
        !tasks_.empty() && (tasks_.size() >= kManyTasks || (abandoned && waiters_ == 0));
    if (!needed || driving_ || guests_ > 0) {
      abandoned = waiters_ == 0;
      idle_.wait_for(lock, tasks_.empty() ? 10 * kGlance : kGlance);
      continue;
    }
    driving_ = true;
    step(lock);
    driving_ = false;
    if (waiters_ > 0 || guests_ > 0) idle_.notify_all();
  }
}

void Scheduler::step(std::unique_lock<std::mutex>& lock) {
  try {
    plan();
    if (batch_.empty()) {
      const Task& first = *tasks_.front();
      raise(ErrorCode::out_of_memory,
            "a text of {} tokens does not fit into the key/value cache of {} pages of {} tokens",
            first.sequence.n_tokens() + first.remaining(), pages_.n_pages(), kPageTokens);
    }
  } catch (const std::exception&) {
    fail_all(std::current_exception());
    return;
  }
  lock.unlock();
  std::exception_ptr error;
  try {
    evaluate();
    choose_next();
  } catch (const std::exception&) {
    error = std::current_exception();
  }
  lock.lock();
  if (error) return fail_all(error);
  commit();
}

// An error of a step is everybody's who was in it; of planning, that of the task that came first.
void Scheduler::fail_all(std::exception_ptr error) {
  if (batch_.empty() && !tasks_.empty()) {
    tasks_.front()->error_ = error;
    finish(*tasks_.front());
  }
  for (const Item& item : batch_) {
    item.task->in_step_ = false;
    item.task->error_ = error;
    item.task->sequence.drop();
    finish(*item.task);
  }
  batch_.clear();
}

void Scheduler::evaluate() {
  const auto start = Clock::now();
  const int64_t vocab = model_.spec().vocab_size;
  const bool direct = batch_.size() == 1 && batch_[0].task->logits != nullptr;
  if (!direct && logits_.size() < static_cast<size_t>(n_logits_ * vocab))
    logits_.resize(static_cast<size_t>(n_logits_ * vocab));
  segments_.clear();
  int64_t n_tokens = 0;
  for (Item& item : batch_) {
    Task& task = *item.task;
    Segment& s = segments_.emplace_back();
    s.state = &task.sequence.state;
    s.tokens = std::span(task.pending)
                   .subspan(static_cast<size_t>(task.done_), static_cast<size_t>(item.n_tokens));
    s.n_past = task.sequence.n_tokens();
    s.length = s.n_past + task.remaining();
    s.n_logits = item.n_logits;
    s.adapters = task.sequence.adapters.get();
    item.embeddings = task.sequence.rows_in_place(s.tokens);
    s.embeddings = item.embeddings;
    if (task.hidden != nullptr) s.hidden = task.hidden + task.done_ * model_.spec().hidden_size;
    n_tokens += item.n_tokens;
  }
  const auto wanted_before = [](const Item& item) {
    return item.task->n_logits - std::min(item.task->n_logits, item.task->remaining());
  };
  forward_.eval(segments_, direct ? batch_[0].task->logits + wanted_before(batch_[0]) * vocab
                                  : logits_.data());
  if (!direct)
    for (const Item& item : batch_)
      if (item.task->logits != nullptr && item.n_logits > 0)
        std::memcpy(item.task->logits + wanted_before(item) * vocab,
                    logits_.data() + item.first_logit * vocab,
                    static_cast<size_t>(item.n_logits * vocab) * 4);
  // A running mean of what tokens cost, for prompt_budget().
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const auto blend = [](double& mean, double x) { mean = mean == 0 ? x : 0.8 * mean + 0.2 * x; };
  if (n_tokens == static_cast<int64_t>(batch_.size()))
    blend(decode_seconds_, seconds);
  else
    blend(token_seconds_, std::max(0.0, seconds - (batch_.size() > 1 ? decode_seconds_ : 0.0)) /
                              static_cast<double>(n_tokens));
  for (const Item& item : batch_) item.task->step_seconds = batch_.size() == 1 ? seconds : 0.0;
  stats_.tokens += n_tokens;
  ++stats_.steps;
}

// What the tasks whose tokens are all evaluated go on with; several at once.
void Scheduler::choose_next() {
  const int64_t vocab = model_.spec().vocab_size;
  int64_t n_ready = 0;
  for (Item& item : batch_) {
    Sequence& sequence = item.task->sequence;
    const auto begin = item.task->pending.begin() + item.task->done_;
    sequence.tokens.insert(sequence.tokens.end(), begin, begin + item.n_tokens);
    n_ready += item.completes;
  }
  const auto one = [&](Item& item) {
    if (!item.completes) return;
    Task& task = *item.task;
    const float* from =
        task.logits != nullptr ? task.logits : logits_.data() + item.first_logit * vocab;
    try {
      item.next = task.ready({from, static_cast<size_t>(task.n_logits * vocab)});
    } catch (const std::exception&) {
      task.error_ = std::current_exception();
    }
  };
  if (n_ready == 1) {
    for (Item& item : batch_) one(item);
    return;
  }
  ThreadPool::instance().run([&](Region& region) {
    region.share(static_cast<int64_t>(batch_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) one(batch_[static_cast<size_t>(i)]);
    });
  });
}

void Scheduler::commit() {
  ++clock_;
  for (Item& item : batch_) {
    Task& task = *item.task;
    task.in_step_ = false;
    task.done_ += item.n_tokens;
    task.sequence.last_use = clock_;
    served_[task.fair_key] += static_cast<double>(item.n_tokens);
    keep_pages(task.sequence);
    if (!item.completes) continue;
    task.pending = std::move(item.next);
    task.done_ = 0;
    const bool goes_on = !task.error_ && task.publish() && !task.pending.empty();
    if (!goes_on) finish(task);
  }
  batch_.clear();
}

// Puts the whole pages of a sequence into the prefix cache; a page that is known already takes the
// place of the sequence's own (both have the same bits).
void Scheduler::keep_pages(Sequence& s) {
  if (!s.cacheable(s.n_tokens()) || s.n_tokens() < kPageTokens) return;
  if (s.node == nullptr) s.node = cache_.match(s.salt(), {}, false).node;
  const int64_t whole = s.n_tokens() / kPageTokens;
  while (s.node->depth < whole) {
    const int64_t i = s.node->depth;
    const auto tokens = std::span(s.tokens).subspan(static_cast<size_t>(i * kPageTokens),
                                                    static_cast<size_t>(kPageTokens));
    s.node = cache_.insert(s.node, tokens, s.state.pages[i]);
    s.state.pages.replace(i, s.node->page);
  }
  if (model_.spec().recurrent() && s.n_tokens() % kPageTokens == 0)
    cache_.keep_state(s.node, s.state.recurrent);
}

// Keeps what a text has beyond its whole pages, when it goes: others may go on from there.
void Scheduler::keep_end(Sequence& s) {
  const auto n = static_cast<size_t>(s.n_tokens() % kPageTokens);
  if (n == 0 || model_.spec().recurrent() || !s.cacheable(s.n_tokens())) return;
  if (s.node == nullptr) s.node = cache_.match(s.salt(), {}, false).node;
  if (s.node->depth == s.n_tokens() / kPageTokens)
    cache_.insert_end(s.node, std::span(s.tokens).last(n), s.state.pages[s.node->depth]);
}

void Scheduler::copy(const Sequence& from, size_t n, Sequence& to) {
  to.drop();
  to.adapters = from.adapters;
  to.source = from.source;
  to.image_rows = from.image_rows;
  to.tokens.assign(from.tokens.begin(), from.tokens.begin() + static_cast<std::ptrdiff_t>(n));
  for (int64_t i = 0; i < pages_for(to.rows()); ++i) to.state.pages.share(from.state.pages[i]);
  to.state.source_pages.resize(0);
  for (int64_t i = 0; i < from.state.source_pages.size(); ++i)
    to.state.source_pages.share(from.state.source_pages[i]);
  to.state.n_source = from.state.n_source;
  to.state.recurrent = from.state.recurrent;
  to.state.start = from.state.start;
  to.state.n_before = from.state.n_before;
  to.n_ctx = std::min(to.n_ctx, to.n_positions - to.n_virtual());
  to.node = from.node;
  while (to.node != nullptr && to.node->depth > to.n_tokens() / kPageTokens)
    to.node = to.node->parent;
}

int64_t Scheduler::n_cached(const Sequence& s, std::span<const int32_t> tokens) {
  if (!s.cacheable(static_cast<int64_t>(tokens.size()))) return 0;
  const auto found = cache_.match(s.salt(), tokens, model_.spec().recurrent());
  return found.tokens() + found.partly_tokens;
}

SchedulerStats Scheduler::stats() {
  const std::lock_guard lock(mutex_);
  SchedulerStats out = stats_;
  for (const Task* task : tasks_) ++(task->sequence.tokens.empty() ? out.waiting : out.running);
  out.n_pages = pages_.n_pages();
  out.used_pages = pages_.n_pages() - pages_.n_free();
  out.cached_pages = cache_.n_pages();
  out.page_tokens = kPageTokens;
  out.page_bytes = static_cast<int64_t>(pages_.page_bytes());
  return out;
}

SchedulerStats scheduler_stats(const Model& model) {
  return Scheduler::of(model).stats();
}

}  // namespace lm
