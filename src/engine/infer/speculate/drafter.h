// Who guesses the next tokens of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/api/generate.h"

namespace lm {

struct Guess {
  std::vector<int32_t> tokens;
  int confidence = 0;  // 0..kConfidences - 1: guesses of one kind are right equally often
};
inline constexpr int kConfidences = 4;

class Drafter {
 public:
  virtual ~Drafter() = default;
  // At most `most` tokens that may follow the text. The texts of later calls go on from this one's,
  // but for tokens at its end that were guessed wrong.
  virtual Guess guess(std::span<const int32_t> text, int64_t most) = 0;
  // Whether guessing runs a model, which only the reader's thread may do.
  virtual bool runs_model() const { return false; }
};

// Null for no speculation. Throws bad_option: a draft model with another vocabulary, naming the
// first token that differs, or a number of tokens that is out of range.
std::unique_ptr<Drafter> make_drafter(const SpeculationOptions& options, const Model& model);

std::unique_ptr<Drafter> make_prompt_lookup();
std::unique_ptr<Drafter> make_draft_model(std::shared_ptr<Context> context);

}  // namespace lm
