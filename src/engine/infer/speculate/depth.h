// How many tokens are worth guessing: from how often guesses were right and what wider passes cost.
// Expected tokens of a pass with k guesses that are right with probability a, one after the other:
// E(k) = (1 - a^(k+1)) / (1 - a)                              (Leviathan et al. 2023, equation 1)
#pragma once

#include <array>
#include <cstdint>

#include "engine/infer/speculate/drafter.h"

namespace lm {

class SpeculationDepth {
 public:
  explicit SpeculationDepth(int64_t most) : most_(most) {}

  // How many of a guess's tokens to check; 0: it does not pay at the moment.
  int64_t choose(const Guess& guess);
  // After a pass over 1 + n_draft tokens, of which the first n_accepted guesses were right.
  // seconds: of the pass, and of guessing before it.
  void report(int confidence, int64_t n_draft, int64_t n_accepted, double seconds,
              double guess_seconds);

 private:
  static constexpr int kWidths = 9;
  double cost(int64_t width) const;
  double gain(double rate, int64_t n) const;

  int64_t most_;
  struct Rate {
    double right = 0.6;
    int64_t rests = 0, patience = 8;  // passes until it is tried again
  };
  std::array<Rate, kConfidences> rates_;
  std::array<double, kWidths> seconds_{};  // of a pass over so many tokens
  double guess_seconds_ = 0;               // for each guessed token
};

}  // namespace lm
