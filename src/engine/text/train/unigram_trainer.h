// Unigram language models, learnt: many frequent substrings at first, then expectation maximisation
// and pruning in turns until as many are left as wanted. Source: Kudo 2018 (arXiv:1804.10959),
// section 3.2; google/sentencepiece src/unigram_model_trainer.cc for its constants. Internal to
// engine/text/train.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace lm {

struct UnigramTraining {
  size_t vocab_size = 8000;  // pieces to end with
  std::vector<std::string> initial_alphabet = {};
  size_t limit_alphabet = SIZE_MAX;
  size_t max_piece_length = 16;    // characters
  double shrinking_factor = 0.75;  // share that each pruning keeps
  int em_steps = 2;                // between prunings
  std::function<void(double)> progress = {};
};

// Pieces with their log probabilities, the best first. All characters that are kept are among them.
std::vector<std::pair<std::string, double>> train_unigram(
    const std::vector<std::pair<std::string, uint64_t>>& words, const UnigramTraining& options);

}  // namespace lm
