#include "engine/api/beam_search.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/logprobs.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/stop_ids.h"
#include "engine/models/model_spec.h"

namespace lm {
namespace {

struct Beam {
  std::vector<int32_t> ids;  // prompt included
  double score = 0;          // sum of log-probabilities
};

bool better(const BeamSequence& a, const BeamSequence& b) {
  return a.score > b.score;
}

struct Continuation {
  size_t beam;
  int32_t id;
  double score;
  bool ends = false;
};

// One context for each beam. A beam goes on in the context that holds the longest part of it, or in
// a copy of that when another beam has it already.
class Contexts {
 public:
  Contexts(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& prompt, int64_t n,
           int64_t n_ctx) {
    for (int64_t i = 0; i < n; ++i) {
      contexts_.push_back(std::make_unique<Context>(model, n_ctx));
      start_ = contexts_.back()->begin(prompt);
    }
  }

  // The ids that every beam begins with.
  const std::vector<int32_t>& start() const { return start_; }
  // use(i, logits) for every beam; all are evaluated together.
  template <typename Use>
  void eval(const std::vector<Beam>& beams, Use use) {
    std::vector<std::vector<int32_t>> held;
    for (const auto& context : contexts_) held.push_back(context->tokens());
    std::vector<size_t> parent, common;
    std::vector<Context::Evaluation> all(beams.size());
    std::vector<bool> taken(contexts_.size(), false);
    for (size_t i = 0; i < beams.size(); ++i) {
      size_t best = 0, most = 0;
      for (size_t c = 0; c < held.size(); ++c)
        if (const size_t n = common_length(held[c], beams[i].ids); n > most) {
          most = n;
          best = c;
        }
      parent.push_back(best);
      common.push_back(most);
      all[i].tokens = beams[i].ids;
      if (taken[best]) continue;
      taken[best] = true;
      all[i].context = contexts_[best].get();
    }
    for (size_t i = 0; i < beams.size(); ++i) {
      if (all[i].context != nullptr) continue;
      const auto free =
          static_cast<size_t>(std::find(taken.begin(), taken.end(), false) - taken.begin());
      taken[free] = true;
      all[i].context = contexts_[free].get();
      all[i].context->become(*contexts_[parent[i]], common[i]);
    }
    Context::eval_together(all);
    for (size_t i = 0; i < beams.size(); ++i) use(i, all[i].context->logits());
  }

 private:
  static size_t common_length(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
    const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
    return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first -
                               a.begin());
  }
  std::vector<std::unique_ptr<Context>> contexts_;
  std::vector<int32_t> start_;
};

// What all groups of one search have in common.
struct Shared {
  const BeamOptions& options;
  size_t n_prompt;
  size_t width;       // beams of a group
  size_t max_tokens;  // that the context has room for
  std::vector<int32_t> stop_ids;
  Sampler sampler;
  std::unordered_map<int32_t, int> taken;  // by earlier groups in the present step
};

// Beams that compete with each other.
class Group {
 public:
  Group(Shared& shared, const std::shared_ptr<const Model>& model,
        const std::vector<int32_t>& prompt, int64_t n_ctx)
      : s_(shared), contexts_(model, prompt, static_cast<int64_t>(shared.width), n_ctx) {
    running_.push_back({contexts_.start(), 0});
  }

  // Adds one token, the one at place `length` of the answer, to every beam.
  void step(size_t length) {
    if (done_) return;
    const auto best = continuations(length);
    follow(best);
    collect(best, length);
    done_ = finished(best, length);
  }
  bool done() const { return done_; }
  const std::vector<BeamSequence>& sequences() const { return finished_; }

 private:
  // The best continuations of all beams: so many that enough stay even if the best ones end.
  std::vector<Continuation> continuations(size_t length) {
    const size_t keep = std::max<size_t>(2, 1 + s_.stop_ids.size()) * s_.width;
    std::vector<Continuation> all;
    contexts_.eval(running_, [&](size_t beam, std::span<const float> logits) {
      add_best(beam, logits, keep, all);
    });
    std::sort(all.begin(), all.end(), [](const Continuation& a, const Continuation& b) {
      if (a.score != b.score) return a.score > b.score;
      return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
    });
    if (all.size() > keep) all.resize(keep);
    for (Continuation& c : all) c.ends = length + 1 == s_.max_tokens || is_stop(c.id);
    return all;
  }

  void add_best(size_t beam, std::span<const float> logits, size_t keep,
                std::vector<Continuation>& all) {
    const double whole = log_sum_exp(logits);
    log_probs_.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i)
      log_probs_[i] = static_cast<float>(static_cast<double>(logits[i]) - whole);
    Candidates best = s_.sampler.candidates(log_probs_, running_[beam].ids);
    for (const auto& [id, times] : s_.taken)
      best.add(id, static_cast<float>(-s_.options.diversity_penalty * times));
    best.keep_best(keep);
    for (const Candidate& c : best.all)
      if (std::isfinite(c.logit))
        all.push_back({beam, c.id, running_[beam].score + static_cast<double>(c.logit)});
  }

  bool is_stop(int32_t id) const {
    return std::find(s_.stop_ids.begin(), s_.stop_ids.end(), id) != s_.stop_ids.end();
  }

  // The beams of the next step, whose tokens later groups should not take. The present ones stay in
  // previous_ for collect().
  void follow(const std::vector<Continuation>& best) {
    previous_ = std::move(running_);
    running_.clear();
    size_t kept = 0;
    for (const Continuation& c : best) {
      if (is_stop(c.id) || kept == s_.width) continue;
      ++kept;
      ++s_.taken[c.id];
      if (c.ends) continue;  // by max_tokens
      running_.push_back({previous_[c.beam].ids, c.score});
      running_.back().ids.push_back(c.id);
    }
  }

  // Sequences that ended among the best ones; the others were there as a reserve only.
  void collect(const std::vector<Continuation>& best, size_t length) {
    const double divisor = std::pow(static_cast<double>(length + 1), s_.options.length_penalty);
    for (size_t i = 0; i < std::min(s_.width, best.size()); ++i) {
      if (!best[i].ends) continue;
      const auto& ids = previous_[best[i].beam].ids;
      BeamSequence sequence{{ids.begin() + static_cast<std::ptrdiff_t>(s_.n_prompt), ids.end()},
                            best[i].score / divisor,
                            is_stop(best[i].id)};
      if (!sequence.stopped) sequence.ids.push_back(best[i].id);
      finished_.push_back(std::move(sequence));
    }
    std::stable_sort(finished_.begin(), finished_.end(), better);
    if (finished_.size() > s_.width) finished_.resize(s_.width);
  }

  bool finished(const std::vector<Continuation>& best, size_t length) const {
    if (running_.empty() ||
        std::all_of(best.begin(), best.end(), [](const Continuation& c) { return c.ends; }))
      return true;
    if (finished_.size() < s_.width) return false;
    if (s_.options.early_stopping == "true") return true;
    const bool longest = s_.options.early_stopping == "never" && s_.options.length_penalty > 0;
    const auto n = static_cast<double>(longest ? s_.max_tokens : length + 1);
    // Group search was never moved to the newer rule, in which sequences that just ended do not
    // count.
    const double best_score = s_.options.num_beam_groups > 1 ? best[0].score : running_[0].score;
    return best_score / std::pow(n, s_.options.length_penalty) <= finished_.back().score;
  }

  Shared& s_;
  Contexts contexts_;
  std::vector<Beam> running_, previous_;
  std::vector<BeamSequence> finished_;  // best first
  std::vector<float> log_probs_;
  bool done_ = false;
};

void check(const BeamOptions& o) {
  LM_CHECK(o.num_beams >= 1 && o.num_beams <= 1024, ErrorCode::bad_option,
           "num_beams is {}; expected 1..1024", o.num_beams);
  LM_CHECK(o.num_beam_groups >= 1 && o.num_beams % o.num_beam_groups == 0, ErrorCode::bad_option,
           "num_beam_groups is {}; expected a divisor of num_beams ({})", o.num_beam_groups,
           o.num_beams);
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
  const Tokenizer& tokenizer = *model->tokenizer();
  const auto ends = stop_ids(tokenizer, options.stop_token_ids, options.ignore_eos);
  const int64_t most = n_ctx == 0 ? model->info().context_length : n_ctx;
  const size_t n_prompt = model->spec().encoder ? 1 : prompt.size();
  const int64_t room = most - static_cast<int64_t>(n_prompt) + 1;
  Shared shared{
      options,
      n_prompt,
      static_cast<size_t>(options.num_beams / options.num_beam_groups),
      static_cast<size_t>(std::clamp<int64_t>(options.max_tokens, 0, std::max<int64_t>(room, 1))),
      ends,
      Sampler(with_dry_breakers(options.sampling, tokenizer),
              {model->info().vocab_size, n_prompt, ends}),
      {}};
  std::vector<Group> groups;
  groups.reserve(static_cast<size_t>(options.num_beam_groups));
  for (int64_t i = 0; i < options.num_beam_groups; ++i)
    groups.emplace_back(shared, model, prompt, n_ctx);

  const auto done = [](const Group& group) { return group.done(); };
  for (size_t length = 0; length < shared.max_tokens; ++length) {
    shared.taken.clear();
    for (Group& group : groups) group.step(length);
    if (options.progress) options.progress(static_cast<int64_t>(length) + 1);
    if (std::all_of(groups.begin(), groups.end(), done)) break;
  }
  std::vector<BeamSequence> found;
  for (const Group& group : groups)
    found.insert(found.end(), group.sequences().begin(), group.sequences().end());
  std::stable_sort(found.begin(), found.end(), better);
  if (found.size() > static_cast<size_t>(options.num_return_sequences))
    found.resize(static_cast<size_t>(options.num_return_sequences));
  return found;
}

}  // namespace lm
