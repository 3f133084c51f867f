#include "engine/api/contrastive_search.h"

#include <algorithm>
#include <cmath>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/stop_ids.h"
#include "engine/models/model_spec.h"

namespace lm {
namespace {

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
  Search(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& prompt,
         const ContrastiveOptions& options, int64_t n_ctx)
      : o_(options),
        tokens_(prompt),
        stop_ids_(stop_ids(*model->tokenizer(), options.stop_token_ids, options.ignore_eos)),
        text_(std::make_unique<Context>(model, n_ctx)),
        meanings_(static_cast<size_t>(model->spec().hidden_size)),
        sampler_(with_dry_breakers(options.sampling, *model->tokenizer()),
                 {model->info().vocab_size, prompt.size(), stop_ids_}) {
    for (int64_t i = 0; i < o_.top_k; ++i)
      trials_.push_back(std::make_unique<Context>(model, n_ctx));
    hidden_.resize(trials_.size());
  }

  ContrastiveResult run() {
    ContrastiveResult result{{}, false};
    std::vector<float> hidden;
    text_->eval(tokens_, &hidden);
    meanings_.add(hidden);
    const auto n_ctx = static_cast<size_t>(text_->n_ctx());
    while (result.ids.size() < static_cast<size_t>(o_.max_tokens) && tokens_.size() < n_ctx) {
      const size_t chosen = choose();
      const int32_t id = ids_[chosen];
      if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) {
        result.stopped = true;
        break;
      }
      std::swap(text_, trials_[chosen]);
      meanings_.add(hidden_[chosen]);
      tokens_.push_back(id);
      result.ids.push_back(id);
      if (o_.progress) o_.progress(static_cast<int64_t>(result.ids.size()));
    }
    return result;
  }

 private:
  // Tries the best tokens, all in one pass, each in a context of its own: the number of the trial
  // that goes on.
  size_t choose() {
    Candidates best = sampler_.candidates(text_->logits(), tokens_);
    const double whole = best.log_sum_exp();
    best.keep_best(static_cast<size_t>(o_.top_k));
    std::erase_if(best.all, [](const Candidate& c) { return !std::isfinite(c.logit); });
    std::vector<Context::Evaluation> all;
    ids_.clear();
    for (size_t i = 0; i < best.all.size(); ++i) {
      ids_.push_back(best.all[i].id);
      trials_[i]->become(*text_, tokens_.size());
      all.push_back({trials_[i].get(), tokens_, &hidden_[i]});
      all.back().tokens.push_back(ids_.back());
    }
    Context::eval_together(all);
    size_t chosen = 0;
    double highest = -2;
    for (size_t i = 0; i < best.all.size(); ++i) {
      const double p = std::exp(static_cast<double>(best.all[i].logit) - whole);
      const double score =
          (1 - o_.penalty_alpha) * p - o_.penalty_alpha * meanings_.largest_cosine(hidden_[i]);
      if (score <= highest) continue;
      highest = score;
      chosen = i;
    }
    return chosen;
  }

  const ContrastiveOptions& o_;
  std::vector<int32_t> tokens_, stop_ids_;
  std::unique_ptr<Context> text_;                 // holds tokens_
  std::vector<std::unique_ptr<Context>> trials_;  // top_k
  std::vector<int32_t> ids_;                      // that were tried
  std::vector<std::vector<float>> hidden_;        // [C] after each of them
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
  return Search(model, prompt, options, n_ctx).run();
}

}  // namespace lm
