// Byte pair encoding, learnt: again and again the most frequent pair of neighbours becomes a token.
// The same choices in the same order as Hugging Face's BpeTrainer (huggingface/tokenizers
// models/bpe/trainer.rs). Internal to engine/text/train.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace lm {

struct BpeTraining {
  size_t vocab_size = 30000;
  uint64_t min_frequency = 0;
  std::vector<std::string> special_tokens, initial_alphabet;
  size_t limit_alphabet = SIZE_MAX, max_token_length = SIZE_MAX;
  std::string continuing_prefix;  // "##" for WordPiece
  std::function<void(double)> progress;
};

struct TrainedBpe {
  std::vector<std::string> tokens;  // by id: special tokens, alphabet, merged ones
  std::vector<std::pair<int32_t, int32_t>> merges;
};

// words: texts with their counts, sorted (the order decides ids of prefixed characters only).
TrainedBpe train_bpe(const std::vector<std::pair<std::string, uint64_t>>& words,
                     const BpeTraining& options);

}  // namespace lm
