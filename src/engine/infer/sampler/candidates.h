// What samplers work on: tokens that may still be chosen, with their logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lm {

struct Candidate {
  int32_t id;
  float logit;  // -infinity: cannot be chosen
};

// By falling logit, ties by rising id: an order that does not depend on how the tokens came.
inline bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

class Candidates {
 public:
  std::vector<Candidate> all;

  // Starts over with the whole vocabulary: logits[i] belongs to token i.
  void reset(std::span<const float> logits);
  // Starts over with some tokens, in any order.
  void reset(std::vector<Candidate> some);

  // The logit of a token that is still there, or null. Fast before anything was dropped or moved.
  float* find(int32_t id);
  void add(int32_t id, float delta);
  void forbid(int32_t id);  // -infinity
  // Call it after changing logits other than by a rising function.
  void changed() { sorted_ = false; }

  void sort();               // by more_likely
  void keep_best(size_t k);  // the k best, sorted; cheaper than sort() for small k
  // Drops tokens with a logit below `floor`, but keeps at least the min_keep best.
  void drop_below(double floor, size_t min_keep);
  // Keeps the shortest prefix in the order `before` whose probabilities reach `share` of the whole,
  // and at least min_keep tokens. Orders only as much as it needs: most of a vocabulary's mass sits
  // in a few tokens.
  template <typename Before>
  void keep_share(double share, size_t min_keep, bool in_order, Before before);
  bool sorted() const { return sorted_; }

  // Throws bad_option when every token is at -infinity or a logit is no number.
  float top() const;
  // e^(logit - best) of all in weights(), until they change or move; returns the sum.
  double weigh(float best);
  const std::vector<float>& weights() const { return weights_; }
  double log_sum_exp();  // so that ln p = logit - log_sum_exp()
  double entropy();      // of the softmax, in nats

 private:
  bool sorted_ = false, dense_ = false;  // dense: all[i].id == i
  std::vector<float> weights_;
  size_t prefix_reaching(size_t n, size_t min_keep, float top, double wanted) const;
};

template <typename Before>
void Candidates::keep_share(double share, size_t min_keep, bool in_order, Before before) {
  const float best = top();
  const double total = weigh(best);
  for (size_t n = in_order ? all.size() : std::min<size_t>(128, all.size());;
       n = std::min(all.size(), n * 8)) {
    if (!in_order)
      std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(),
                        before);
    const size_t keep = prefix_reaching(n, min_keep, best, share * total);
    if (keep == 0 && n < all.size()) continue;
    if (keep > 0) all.resize(keep);
    break;
  }
  dense_ = false;
  sorted_ = in_order;
}

}  // namespace lm
