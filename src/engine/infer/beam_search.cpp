#include "engine/api/beam_search.h"

#include <algorithm>
#include <cmath>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/logprobs.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/stop_ids.h"

namespace lm {
namespace {

struct Beam {
  std::vector<int32_t> ids;  // prompt included
  double score = 0;          // sum of log-probabilities
};

struct Continuation {
  size_t beam;
  int32_t id;
  double score;
  bool ends = false;
};

// One context for each beam. A beam takes the context that already holds the longest part of it.
class Contexts {
 public:
  Contexts(const std::shared_ptr<const Model>& model, int64_t n, int64_t n_ctx) {
    for (int64_t i = 0; i < n; ++i) contexts_.push_back(std::make_unique<Context>(model, n_ctx));
  }

  int64_t n_ctx() const { return contexts_[0]->n_ctx(); }

  // use(i, logits) for every beam.
  template <typename Use>
  void eval(const std::vector<Beam>& beams, Use use) {
    std::vector<Context*> free;
    for (const auto& context : contexts_) free.push_back(context.get());
    for (size_t i = 0; i < beams.size(); ++i) {
      const auto best = std::max_element(free.begin(), free.end(), [&](Context* a, Context* b) {
        return common(*a, beams[i]) < common(*b, beams[i]);
      });
      use(i, (*best)->eval(beams[i].ids));
      free.erase(best);
    }
  }

 private:
  static size_t common(const Context& context, const Beam& beam) {
    const auto& held = context.tokens();
    const size_t n = std::min(held.size(), beam.ids.size());
    return static_cast<size_t>(
        std::mismatch(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(n), beam.ids.begin())
            .first -
        held.begin());
  }
  std::vector<std::unique_ptr<Context>> contexts_;
};

class Search {
 public:
  Search(std::shared_ptr<const Model> model, const std::vector<int32_t>& prompt,
         const BeamOptions& options, int64_t n_ctx)
      : o_(options),
        n_prompt_(prompt.size()),
        width_(static_cast<size_t>(options.num_beams)),
        stop_ids_(stop_ids(*model->tokenizer(), options.stop_token_ids, options.ignore_eos)),
        contexts_(model, options.num_beams, n_ctx),
        sampler_(with_dry_breakers(options.sampling, *model->tokenizer()),
                 {model->info().vocab_size, prompt.size(), stop_ids_}) {
    running_.push_back({prompt, 0});
    const int64_t room = contexts_.n_ctx() - static_cast<int64_t>(prompt.size()) + 1;
    max_tokens_ = static_cast<size_t>(std::max<int64_t>(std::min(o_.max_tokens, room), 0));
  }

  std::vector<BeamSequence> run() {
    for (length_ = 0; length_ < max_tokens_; ++length_) {
      const auto best = continuations();
      follow(best);
      collect(best);
      if (o_.progress) o_.progress(static_cast<int64_t>(length_) + 1);
      if (finished(best)) break;
    }
    if (finished_.size() > static_cast<size_t>(o_.num_return_sequences))
      finished_.resize(static_cast<size_t>(o_.num_return_sequences));
    return std::move(finished_);
  }

 private:
  // The best continuations of all beams: so many that num_beams stay even if the best ones end.
  std::vector<Continuation> continuations() {
    const size_t keep = std::max<size_t>(2, 1 + stop_ids_.size()) * width_;
    std::vector<Continuation> all;
    contexts_.eval(running_, [&](size_t beam, std::span<const float> logits) {
      add_best(beam, logits, keep, all);
    });
    sort_best(all, keep);
    for (Continuation& c : all)
      c.ends = length_ + 1 == max_tokens_ ||
               std::find(stop_ids_.begin(), stop_ids_.end(), c.id) != stop_ids_.end();
    return all;
  }

  void add_best(size_t beam, std::span<const float> logits, size_t keep,
                std::vector<Continuation>& all) {
    const double whole = log_sum_exp(logits);
    log_probs_.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i)
      log_probs_[i] = static_cast<float>(static_cast<double>(logits[i]) - whole);
    Candidates best = sampler_.candidates(log_probs_, running_[beam].ids);
    best.keep_best(keep);
    for (const Candidate& c : best.all)
      if (std::isfinite(c.logit))
        all.push_back({beam, c.id, running_[beam].score + static_cast<double>(c.logit)});
  }

  static void sort_best(std::vector<Continuation>& all, size_t keep) {
    std::sort(all.begin(), all.end(), [](const Continuation& a, const Continuation& b) {
      if (a.score != b.score) return a.score > b.score;
      return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
    });
    if (all.size() > keep) all.resize(keep);
  }

  // The beams of the next step. The present ones stay in previous_ for collect().
  void follow(const std::vector<Continuation>& best) {
    previous_ = std::move(running_);
    running_.clear();
    for (const Continuation& c : best) {
      if (c.ends || running_.size() == width_) continue;
      running_.push_back({previous_[c.beam].ids, c.score});
      running_.back().ids.push_back(c.id);
    }
  }

  // Sequences that ended among the best num_beams; the others were there as a reserve only.
  void collect(const std::vector<Continuation>& best) {
    if (full() && o_.early_stopping == "true") return;
    const double divisor = std::pow(static_cast<double>(length_ + 1), o_.length_penalty);
    for (size_t i = 0; i < std::min(width_, best.size()); ++i) {
      if (!best[i].ends) continue;
      const auto& ids = previous_[best[i].beam].ids;
      BeamSequence done{{ids.begin() + static_cast<std::ptrdiff_t>(n_prompt_), ids.end()},
                        best[i].score / divisor,
                        true};
      if (std::find(stop_ids_.begin(), stop_ids_.end(), best[i].id) == stop_ids_.end()) {
        done.ids.push_back(best[i].id);
        done.stopped = false;
      }
      finished_.push_back(std::move(done));
    }
    std::stable_sort(
        finished_.begin(), finished_.end(),
        [](const BeamSequence& a, const BeamSequence& b) { return a.score > b.score; });
    if (finished_.size() > width_) finished_.resize(width_);
  }

  bool full() const { return finished_.size() == width_; }

  bool finished(const std::vector<Continuation>& best) const {
    if (std::all_of(best.begin(), best.end(), [](const Continuation& c) { return c.ends; }))
      return true;
    if (!full() || running_.empty()) return running_.empty();
    if (o_.early_stopping == "true") return true;
    const bool longest = o_.early_stopping == "never" && o_.length_penalty > 0;
    const double length = static_cast<double>(longest ? max_tokens_ : length_ + 1);
    return running_[0].score / std::pow(length, o_.length_penalty) <= finished_.back().score;
  }

  const BeamOptions& o_;
  size_t n_prompt_, width_, max_tokens_ = 0;
  size_t length_ = 0;  // tokens produced before the present step
  std::vector<int32_t> stop_ids_;
  Contexts contexts_;
  Sampler sampler_;
  std::vector<Beam> running_, previous_;
  std::vector<BeamSequence> finished_;  // best first
  std::vector<float> log_probs_;
};

void check(const BeamOptions& o) {
  LM_CHECK(o.num_beams >= 1 && o.num_beams <= 1024, ErrorCode::bad_option,
           "num_beams is {}; expected 1..1024", o.num_beams);
  LM_CHECK(o.num_return_sequences >= 1 && o.num_return_sequences <= o.num_beams,
           ErrorCode::bad_option, "num_return_sequences is {}; expected 1..num_beams ({})",
           o.num_return_sequences, o.num_beams);
  LM_CHECK(o.early_stopping == "true" || o.early_stopping == "false" || o.early_stopping == "never",
           ErrorCode::bad_option, "early_stopping is \"{}\"; expected true, false or never",
           o.early_stopping);
  LM_CHECK(o.sampling.temperature <= 0, ErrorCode::bad_option,
           "beam search draws nothing: temperature is {}, expected 0", o.sampling.temperature);
}

}  // namespace

std::vector<BeamSequence> beam_search(std::shared_ptr<const Model> model,
                                      const std::vector<int32_t>& prompt,
                                      const BeamOptions& options, int64_t n_ctx) {
  check(options);
  return Search(std::move(model), prompt, options, n_ctx).run();
}

}  // namespace lm
