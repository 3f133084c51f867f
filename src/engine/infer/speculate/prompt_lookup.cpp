// Prompt lookup: a text that quotes itself goes on as it did before. The positions of all pairs and
// triples of tokens are kept; the latest one whose past agrees longest with the end is followed.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "engine/infer/speculate/drafter.h"

namespace lm {
namespace {

constexpr size_t kShortest = 2, kLongest = 16;

class PromptLookup : public Drafter {
 public:
  Guess guess(std::span<const int32_t> text, int64_t most) override {
    update(text);
    const size_t n = text.size();
    if (n < kShortest + 1) return {};
    const auto found = latest_.find(key(text, n));
    if (found == latest_.end()) return {};
    // Two places: the latest and the one before it.
    size_t best = 0, length = 0;
    for (const size_t place : found->second) {
      if (place == 0) continue;
      const size_t same = agreement(text, place);
      if (same <= length) continue;
      length = same;
      best = place;
    }
    if (length < kShortest) return {};
    Guess out;
    // A place near the end repeats: what it says goes on from itself.
    const size_t period = n - best;
    for (size_t i = 0; i < static_cast<size_t>(most); ++i)
      out.tokens.push_back(text[best + i % period]);
    out.confidence = length >= 8 ? 3 : length >= 4 ? 2 : length == 3 ? 1 : 0;
    return out;
  }

 private:
  static uint64_t key(std::span<const int32_t> text, size_t end) {
    return static_cast<uint64_t>(static_cast<uint32_t>(text[end - 2])) << 32 |
           static_cast<uint32_t>(text[end - 1]);
  }

  // The pair that ends before `end` is known once a token follows it.
  void update(std::span<const int32_t> text) {
    // Wrong guesses were never told, so what was seen stays; only the end is new.
    for (size_t end = std::max(seen_, kShortest); end < text.size(); ++end) {
      auto& places = latest_[key(text, end)];
      places[1] = places[0];
      places[0] = end;
    }
    seen_ = text.size();
  }

  // How many tokens before `place` are those before the end.
  static size_t agreement(std::span<const int32_t> text, size_t place) {
    size_t same = 0;
    while (same < kLongest && same < place &&
           text[place - 1 - same] == text[text.size() - 1 - same])
      ++same;
    return same;
  }

  std::unordered_map<uint64_t, std::array<size_t, 2>> latest_;  // pair -> where what follows begins
  size_t seen_ = 0;
};

}  // namespace

std::unique_ptr<Drafter> make_prompt_lookup() {
  return std::make_unique<PromptLookup>();
}

}  // namespace lm
