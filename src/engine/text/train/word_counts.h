// How often each word occurs in some texts, after normalising and cutting. Internal to
// engine/text/train.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/text/tokenizer_parts.h"
#include "engine/text/train/train_tokenizer.h"

namespace lm {

class WordCounts {
 public:
  // line_ends: whether they belong to their lines, as in Hugging Face's training, or are dropped,
  // as in SentencePiece's.
  WordCounts(const TokenizerParts& parts, bool line_ends) : parts_(parts), line_ends_(line_ends) {}
  // Counts the words of a file, line by line.
  void add_file(const std::string& path, const std::function<void(double)>& progress);
  void add_line(std::string_view line);
  // By word, so that results do not depend on hashing.
  std::vector<std::pair<std::string, uint64_t>> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  const TokenizerParts& parts_;
  bool line_ends_;
  std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> counts_;
  Words words_;
};

}  // namespace lm
