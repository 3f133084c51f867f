// Which tokens the scheduler's next step evaluates, and whose memory makes room for them.
#include <algorithm>

#include "engine/infer/scheduler.h"

namespace lm {
namespace {

// Beside running streams a step may take so long: their readers see a token at least this often.
constexpr double kStepSeconds = 0.05;
constexpr int64_t kLeastChunk = 16;
// So few tokens behind others (a draft to check, for instance) count as decoding.
constexpr int64_t kFewTokens = 8;

}  // namespace

int64_t Scheduler::prompt_budget() const {
  const int64_t left = forward_.capacity() - static_cast<int64_t>(batch_.size());
  if (batch_.empty() || token_seconds_ <= 0) return left;
  const double seconds = std::max(0.0, kStepSeconds - decode_seconds_);
  const auto n = static_cast<int64_t>(seconds / token_seconds_) / kLeastChunk * kLeastChunk;
  return std::clamp(n, std::min(left, kLeastChunk), left);
}

void Scheduler::plan() {
  batch_.clear();
  n_logits_ = 0;
  auto order = tasks_;
  std::stable_sort(order.begin(), order.end(), [&](const Task* a, const Task* b) {
    if (a->priority != b->priority) return a->priority < b->priority;
    const double sa = served_[a->fair_key], sb = served_[b->fair_key];
    return sa != sb ? sa < sb : a->arrival_ < b->arrival_;
  });
  const auto decodes = [](const Task& task) {
    return !task.sequence.tokens.empty() && task.remaining() <= kFewTokens;
  };
  int64_t left = forward_.capacity();
  for (Task* task : order)
    if (decodes(*task) && task->remaining() <= left && reserve(*task, task->remaining())) {
      left -= task->remaining();
      add(*task, task->remaining());
    }
  int64_t budget = std::min(left, prompt_budget());
  for (Task* task : order) {
    if (task->in_step_ || budget <= 0 || !task->active_) continue;
    if (task->sequence.tokens.empty() && !admit(*task)) continue;
    int64_t n = std::min(task->remaining(), budget);
    // Recurrent states are kept where a page ends.
    if (model_.spec().recurrent() && n < task->remaining())
      n = std::max<int64_t>(1, n / kPageTokens * kPageTokens);
    else if (model_.spec().recurrent() && n > kPageTokens)
      n -= (task->sequence.n_tokens() + n) % kPageTokens;
    if (n == 0 || !model_.spec().causal()) n = task->remaining();
    if (!reserve(*task, n)) continue;
    add(*task, n);
    budget -= n;
  }
}

void Scheduler::add(Task& task, int64_t n) {
  task.in_step_ = true;
  Sequence& s = task.sequence;
  if (s.n_tokens() + task.remaining() > model_.spec().fixed_rope_length()) s.grew_beyond = true;
  const int64_t after = task.remaining() - n;  // pending tokens that stay
  const int64_t logits = std::clamp<int64_t>(task.n_logits - after, 0, n);
  batch_.push_back({&task, n, n_logits_, logits, after == 0, {}, {}});
  n_logits_ += logits;
}

// Prepares a text that has nothing in the cache yet: takes over what is known of it. False: another
// text that begins alike is being evaluated, whose pages are worth waiting for.
bool Scheduler::admit(Task& task) {
  Sequence& s = task.sequence;
  const int64_t most = task.hidden != nullptr ? 0 : task.remaining() - task.n_logits;
  if (!s.cacheable(task.remaining()) || most < 1) {
    const int64_t before = pages_for(model_.spec().n_meta + s.n_virtual());
    while (pages_.n_free() < before - s.state.pages.size())
      if (!reclaim(task)) return false;
    forward_.begin(s.adapters.get(), s.state);
    return true;
  }
  const bool recurrent = model_.spec().recurrent();
  const auto known =
      std::span(task.pending).subspan(static_cast<size_t>(task.done_), static_cast<size_t>(most));
  auto found = cache_.match(s.salt(), known, recurrent);
  if (has_twin(task, known, found.tokens())) return false;
  forward_.begin(s.adapters.get(), s.state);
  std::vector<int32_t> pages;
  for (auto* node = found.node; node->parent != nullptr; node = node->parent)
    pages.push_back(node->page);
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) s.state.pages.share(*page);
  int64_t n = found.tokens();
  if (found.partly != nullptr) {  // copied as soon as it is written to
    s.state.pages.share(found.partly->page);
    n += found.partly_tokens;
  }
  if (recurrent && n > 0) s.state.recurrent = *found.node->state;
  s.tokens.assign(known.begin(), known.begin() + n);
  s.node = found.node;
  task.done_ += n;
  task.n_reused = n;
  stats_.reused_tokens += n;
  return true;
}

bool Scheduler::has_twin(const Task& task, std::span<const int32_t> mine, int64_t n_cached) const {
  const std::string salt = task.sequence.salt();
  for (const Task* other : tasks_) {
    const bool begun = other->in_step_ || !other->sequence.tokens.empty();
    if (other == &task || !begun || other->sequence.salt() != salt) continue;
    // Tokens it has already, then those on their way.
    const auto& held = other->sequence.tokens;
    const auto ahead = std::span(other->pending).subspan(static_cast<size_t>(other->done_));
    size_t n = 0;
    while (n < mine.size() && n < held.size() + ahead.size() &&
           mine[n] == (n < held.size() ? held[n] : ahead[n - held.size()]))
      ++n;
    if (static_cast<int64_t>(n) / kPageTokens * kPageTokens > n_cached) return true;
  }
  return false;
}

bool Scheduler::reserve(Task& task, int64_t n) {
  Sequence& s = task.sequence;
  const int64_t first = s.rows(), end = first + n;
  while (pages_.n_free() < s.state.pages.n_wanted(first, end))
    if (!reclaim(task)) return false;
  s.state.prepare(first, end);
  return true;
}

// Frees memory: what nobody uses, then texts that rest, then tasks that came later or matter less.
bool Scheduler::reclaim(const Task& wanting) {
  if (cache_.evict()) return true;
  const auto busy = [&](const Sequence* s) {
    return std::any_of(tasks_.begin(), tasks_.end(),
                       [&](const Task* task) { return &task->sequence == s; });
  };
  Sequence* rests = nullptr;
  for (Sequence* s : sequences_)
    if (s->state.pages.size() > 0 && !busy(s) &&
        (rests == nullptr || s->last_use < rests->last_use))
      rests = s;
  if (rests != nullptr) {
    rests->drop();
    return true;
  }
  Task* last = nullptr;
  for (Task* task : tasks_) {
    if (task == &wanting || task->in_step_ || task->hidden != nullptr) continue;
    if (task->sequence.state.pages.size() == 0 || task->priority < wanting.priority) continue;
    if (task->priority == wanting.priority && task->arrival_ < wanting.arrival_) continue;
    if (last == nullptr || task->priority > last->priority ||
        (task->priority == last->priority && task->arrival_ > last->arrival_))
      last = task;
  }
  if (last == nullptr) return false;
  preempt(*last);
  return true;
}

// The task begins anew later, with the same result.
void Scheduler::preempt(Task& task) {
  auto all = std::move(task.sequence.tokens);
  task.sequence.tokens.clear();
  all.insert(all.end(), task.pending.begin() + task.done_, task.pending.end());
  task.pending = std::move(all);
  task.done_ = 0;
  task.sequence.drop();
  ++stats_.preemptions;
}

}  // namespace lm
