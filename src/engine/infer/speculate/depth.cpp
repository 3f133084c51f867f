#include "engine/infer/speculate/depth.h"

#include <algorithm>
#include <cmath>

namespace lm {
namespace {

constexpr double kBlend = 0.2;        // weight of the latest observation
constexpr double kLeastGain = 1.02;   // below that guessing is left alone
constexpr double kFirstGuess = 0.06;  // cost of one more token in a pass, before it was measured
constexpr int64_t kMostPatience = 512;

void blend(double& mean, double x) {
  mean = mean == 0 ? x : (1 - kBlend) * mean + kBlend * x;
}

}  // namespace

// Relative to a pass over one token. Widths not seen yet cost as their nearest narrower one and a
// little for each token more.
double SpeculationDepth::cost(int64_t width) const {
  const double one = seconds_[1];
  if (one == 0) return 1 + kFirstGuess * static_cast<double>(width - 1);
  int64_t known = width;
  while (known > 1 && seconds_[static_cast<size_t>(known)] == 0) --known;
  return seconds_[static_cast<size_t>(known)] / one +
         kFirstGuess * static_cast<double>(width - known);
}

double SpeculationDepth::gain(double rate, int64_t n) const {
  double expected = 1, power = 1;
  for (int64_t i = 0; i < n; ++i) expected += power *= rate;
  const double guessing =
      seconds_[1] == 0 ? 0 : guess_seconds_ * static_cast<double>(n) / seconds_[1];
  return expected / (cost(n + 1) + guessing);
}

int64_t SpeculationDepth::choose(const Guess& guess) {
  Rate& rate = rates_[static_cast<size_t>(guess.confidence)];
  const auto most = std::min<int64_t>(most_, static_cast<int64_t>(guess.tokens.size()));
  int64_t best = 0;
  double highest = kLeastGain;
  for (int64_t n = 1; n <= most; ++n)
    if (const double g = gain(rate.right, n); g > highest) {
      highest = g;
      best = n;
    }
  if (best > 0 || most == 0) return best;
  if (++rate.rests < rate.patience) return 0;
  rate.rests = 0;  // one token, to see whether the text has changed
  rate.patience = std::min(2 * rate.patience, kMostPatience);
  return 1;
}

void SpeculationDepth::report(int confidence, int64_t n_draft, int64_t n_accepted, double seconds,
                              double guess_seconds) {
  if (seconds > 0 && n_draft + 1 < kWidths)
    blend(seconds_[static_cast<size_t>(n_draft + 1)], seconds);
  if (n_draft == 0) return;
  blend(guess_seconds_, guess_seconds / static_cast<double>(n_draft));
  Rate& rate = rates_[static_cast<size_t>(confidence)];
  // Guesses behind the first wrong one say nothing.
  for (int64_t i = 0; i < n_accepted; ++i) rate.right = (1 - kBlend) * rate.right + kBlend;
  if (n_accepted < n_draft) rate.right *= 1 - kBlend;
  if (n_accepted > 0) rate.patience = 8;
}

}  // namespace lm
