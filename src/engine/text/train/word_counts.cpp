#include "engine/text/train/word_counts.h"

#include <algorithm>

#include "engine/core/mapped_file.h"

namespace lm {

void WordCounts::add_file(const std::string& path, const std::function<void(double)>& progress) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  size_t reported = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    add_line(text.substr(at, end - at));
    at = end;
    if (at - reported < (size_t{1} << 20)) continue;
    reported = at;
    progress(static_cast<double>(at) / static_cast<double>(text.size()));
  }
}

void WordCounts::add_line(std::string_view line) {
  while (!line_ends_ && (line.ends_with('\n') || line.ends_with('\r'))) line.remove_suffix(1);
  words_.text.assign(line);
  for (const Normalizer& normalize : parts_.normalizers) normalize(words_.text);
  words_.spans.assign(1, {0, static_cast<uint32_t>(words_.text.size())});
  words_.at_text_start = true;
  for (const PreTokenizer& cut : parts_.pre_tokenizers) cut(words_);
  const std::string_view text = words_.text;
  for (const Words::Span s : words_.spans) {
    const std::string_view word = text.substr(s.begin, s.end - s.begin);
    if (word.empty()) continue;
    const auto it = counts_.find(word);
    if (it != counts_.end()) {
      ++it->second;
    } else {
      counts_.emplace(word, 1);
    }
  }
}

std::vector<std::pair<std::string, uint64_t>> WordCounts::sorted() const {
  std::vector<std::pair<std::string, uint64_t>> all(counts_.begin(), counts_.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace lm
