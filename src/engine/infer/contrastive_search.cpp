#include "engine/api/contrastive_search.h"

#include <algorithm>
#include <cmath>

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/forward.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/stop_ids.h"

namespace lm {
namespace {

// A sequence whose last position is tried with one token after the other.
class Trials {
 public:
  Trials(const Model& model, int64_t n_ctx)
      : c_(static_cast<size_t>(model.spec().hidden_size)),
        capacity_(std::min(n_ctx, Forward::kMicroBatch)),
        pages_(model.spec(), model.info().precision == "exact" ? KvType::f32 : KvType::f16,
               pages_for(n_ctx + model.spec().n_meta)),
        state_(model.spec(), pages_),
        kept_(state_.recurrent),
        forward_(model.spec(), model.weights(), pages_, n_ctx, capacity_),
        logits_(static_cast<size_t>(model.spec().vocab_size)) {
    forward_.begin(nullptr, state_);
    keep();
  }

  // Puts tokens at position n_past; hidden() and logits() are then theirs.
  void eval(std::span<const int32_t> tokens, size_t n_past) {
    hidden_.resize(tokens.size() * c_);
    for (size_t done = 0; done < tokens.size();) {
      check_interrupt();
      const auto part =
          tokens.subspan(done, std::min(tokens.size() - done, static_cast<size_t>(capacity_)));
      Segment segment;
      segment.state = &state_;
      segment.tokens = part;
      segment.n_past = static_cast<int64_t>(n_past + done);
      segment.length = static_cast<int64_t>(n_past + tokens.size());
      segment.n_logits = done + part.size() == tokens.size() ? 1 : 0;
      segment.hidden = hidden_.data() + done * c_;
      forward_.eval({&segment, 1}, logits_.data());
      done += part.size();
    }
  }
  // Keys and values are written anew at each trial; recurrent states have to go back.
  void keep() { kept_ = state_.recurrent; }
  void go_back() { state_.recurrent = kept_; }
  const std::vector<float>& hidden() const { return hidden_; }
  const std::vector<float>& logits() const { return logits_; }
  size_t hidden_size() const { return c_; }

 private:
  size_t c_;
  int64_t capacity_;
  KvPages pages_;
  SequenceState state_;
  RecurrentState kept_;
  Forward forward_;
  std::vector<float> hidden_, logits_;
};

// Unit vectors of all positions so far.
class Meanings {
 public:
  explicit Meanings(size_t c) : c_(c) {}

  void add(std::span<const float> hidden) {
    for (size_t t = 0; t < hidden.size(); t += c_) {
      const auto unit = normalized(hidden.subspan(t, c_));
      rows_.insert(rows_.end(), unit.begin(), unit.end());
    }
  }
  double largest_cosine(std::span<const float> hidden) const {
    const auto unit = normalized(hidden);
    double largest = -1;
    for (size_t t = 0; t < rows_.size(); t += c_) {
      double dot = 0;
      for (size_t i = 0; i < c_; ++i)
        dot += static_cast<double>(rows_[t + i]) * static_cast<double>(unit[i]);
      largest = std::max(largest, dot);
    }
    return largest;
  }

 private:
  static std::vector<float> normalized(std::span<const float> v) {
    double squares = 0;
    for (const float x : v) squares += static_cast<double>(x) * static_cast<double>(x);
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    std::vector<float> unit(v.size());
    for (size_t i = 0; i < v.size(); ++i)
      unit[i] = static_cast<float>(static_cast<double>(v[i]) * scale);
    return unit;
  }
  size_t c_;
  std::vector<float> rows_;
};

class Search {
 public:
  Search(const Model& model, const std::vector<int32_t>& prompt, const ContrastiveOptions& options,
         int64_t n_ctx)
      : o_(options),
        n_ctx_(static_cast<size_t>(n_ctx)),
        tokens_(prompt),
        stop_ids_(stop_ids(*model.tokenizer(), options.stop_token_ids, options.ignore_eos)),
        trials_(model, n_ctx),
        meanings_(trials_.hidden_size()),
        sampler_(with_dry_breakers(options.sampling, *model.tokenizer()),
                 {model.info().vocab_size, prompt.size(), stop_ids_}) {}

  ContrastiveResult run() {
    ContrastiveResult result{{}, false};
    extend(tokens_, 0);
    while (result.ids.size() < static_cast<size_t>(o_.max_tokens) && tokens_.size() < n_ctx_) {
      const int32_t id = choose();
      if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) {
        result.stopped = true;
        break;
      }
      trials_.go_back();
      extend(std::span(&id, 1), tokens_.size());
      tokens_.push_back(id);
      result.ids.push_back(id);
      if (o_.progress) o_.progress(static_cast<int64_t>(result.ids.size()));
    }
    return result;
  }

 private:
  void extend(std::span<const int32_t> tokens, size_t n_past) {
    trials_.eval(tokens, n_past);
    trials_.keep();
    meanings_.add(trials_.hidden());
  }

  int32_t choose() {
    Candidates best = sampler_.candidates(trials_.logits(), tokens_);
    const double whole = best.log_sum_exp();
    best.keep_best(static_cast<size_t>(o_.top_k));
    int32_t chosen = best.all[0].id;
    double highest = -2;
    for (const Candidate& c : best.all) {
      if (!std::isfinite(c.logit)) continue;
      trials_.go_back();
      trials_.eval(std::span(&c.id, 1), tokens_.size());
      const double p = std::exp(static_cast<double>(c.logit) - whole);
      const double score = (1 - o_.penalty_alpha) * p -
                           o_.penalty_alpha * meanings_.largest_cosine(trials_.hidden());
      if (score <= highest) continue;
      highest = score;
      chosen = c.id;
    }
    return chosen;
  }

  const ContrastiveOptions& o_;
  size_t n_ctx_;
  std::vector<int32_t> tokens_, stop_ids_;
  Trials trials_;
  Meanings meanings_;
  Sampler sampler_;
};

void check(const Model& model, const std::vector<int32_t>& prompt, const ContrastiveOptions& o,
           int64_t n_ctx) {
  LM_CHECK(o.penalty_alpha >= 0 && o.penalty_alpha <= 1, ErrorCode::bad_option,
           "penalty_alpha is {}; expected a number in [0, 1]", o.penalty_alpha);
  LM_CHECK(o.top_k >= 2, ErrorCode::bad_option,
           "contrastive search chooses among top_k tokens: top_k is {}, expected at least 2",
           o.top_k);
  LM_CHECK(o.sampling.temperature <= 0, ErrorCode::bad_option,
           "contrastive search draws nothing: temperature is {}, expected 0",
           o.sampling.temperature);
  LM_CHECK(model.spec().causal() && !model.spec().encoder, ErrorCode::unsupported,
           "contrastive search works with decoders; the model \"{}\" is none", model.info().name);
  const int64_t most = model.info().context_length;
  LM_CHECK(n_ctx >= 0 && n_ctx <= most, ErrorCode::bad_option,
           "context is {}; the model was made for at most {} tokens", n_ctx, most);
  LM_CHECK(!prompt.empty() && prompt.size() <= static_cast<size_t>(n_ctx == 0 ? most : n_ctx),
           ErrorCode::bad_option, "the prompt has {} tokens, expected 1..{}", prompt.size(),
           n_ctx == 0 ? most : n_ctx);
  for (const int32_t id : prompt)
    LM_CHECK(id >= 0 && id < model.spec().vocab_size, ErrorCode::bad_option,
             "token id {} is outside the vocabulary 0..{}", id, model.spec().vocab_size - 1);
}

}  // namespace

ContrastiveResult contrastive_search(std::shared_ptr<const Model> model,
                                     const std::vector<int32_t>& prompt,
                                     const ContrastiveOptions& options, int64_t n_ctx) {
  check(*model, prompt, options, n_ctx);
  return Search(*model, prompt, options, n_ctx == 0 ? model->info().context_length : n_ctx).run();
}

}  // namespace lm
