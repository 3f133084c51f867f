// A smaller model guesses greedily, token by token.
#include <algorithm>
#include <cmath>

#include "engine/infer/speculate/drafter.h"

namespace lm {
namespace {

// It gives up where it is unsure itself.
constexpr float kLeastLead = 0.5f;  // between the best and the second logit

class DraftModel : public Drafter {
 public:
  explicit DraftModel(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  bool runs_model() const override { return true; }

  Guess guess(std::span<const int32_t> text, int64_t most) override {
    Guess out;
    const auto room = context_->n_ctx() - static_cast<int64_t>(text.size());
    most = std::min(most, room);
    if (most <= 0) return out;
    auto logits = context_->eval(text);
    while (true) {
      const auto best = std::max_element(logits.begin(), logits.end());
      float second = -INFINITY;
      for (const float& x : logits)
        if (&x != &*best) second = std::max(second, x);
      if (*best - second < kLeastLead && !out.tokens.empty()) break;
      out.tokens.push_back(static_cast<int32_t>(best - logits.begin()));
      if (static_cast<int64_t>(out.tokens.size()) == most) break;
      logits = context_->append(out.tokens.back());
    }
    return out;
  }

 private:
  std::shared_ptr<Context> context_;
};

}  // namespace

std::unique_ptr<Drafter> make_draft_model(std::shared_ptr<Context> context) {
  return std::make_unique<DraftModel>(std::move(context));
}

}  // namespace lm
