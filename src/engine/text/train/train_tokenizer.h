// Training of tokenizers: text files -> a tokenizer.json that Hugging Face's tokenizers and this
// engine load.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

struct TokenizerTraining {
  std::string kind = "bpe";            // "bpe", "unigram", "wordpiece"
  std::string pre_tokenizer = "auto";  // how text is cut into words: train_pre_tokenizers(); "auto"
                                       // is "gpt2" for bpe, "metaspace" for unigram, "bert" for
                                       // wordpiece
  size_t vocab_size = 30000;           // tokens at most, special tokens and alphabet included
  uint64_t min_frequency = 0;  // pairs that occur less often are not merged (bpe, wordpiece)
  std::vector<std::string> special_tokens = {};    // get the first ids, in order
  std::vector<std::string> initial_alphabet = {};  // characters to include whether they occur or
                                                   // not; byte-level models include all bytes
  size_t limit_alphabet = SIZE_MAX;    // characters to keep at most, the most frequent ones
  size_t max_token_length = SIZE_MAX;  // characters of a merged token (bpe)
  std::string unk_token = {};  // for what the vocabulary lacks; empty: "[UNK]" for wordpiece,
                               // "<unk>" for unigram, none for bpe
  // Called now and then with the name of the phase and how much of it is done, 0 to 1.
  std::function<void(const char* phase, double fraction)> progress = {};
};

// The names that `pre_tokenizer` may have.
const std::vector<std::string>& train_pre_tokenizers();

// Calls add(line) for every line of some texts, line ends included.
using LineSource = std::function<void(const std::function<void(std::string_view line)>& add)>;

// Trains on lines; returns the text of a tokenizer.json. BPE gives the merges and ids
// that Hugging Face's BpeTrainer gives. Throws bad_option for options that contradict each other,
// not_found, io.
std::string train_tokenizer(const LineSource& lines, const TokenizerTraining& options);
// The lines of text files.
std::string train_tokenizer(const std::vector<std::string>& files,
                            const TokenizerTraining& options);

}  // namespace lm
