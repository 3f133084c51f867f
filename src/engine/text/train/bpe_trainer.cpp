#include "engine/text/train/bpe_trainer.h"

#include <algorithm>
#include <cstddef>
#include <queue>
#include <unordered_map>

#include "engine/text/unicode.h"

namespace lm {

namespace {

// The tokens so far, findable by text.
class Tokens {
 public:
  int32_t add(const std::string& text) {
    const auto [it, added] = ids_.try_emplace(text, static_cast<int32_t>(texts.size()));
    if (added) texts.push_back(text);
    return it->second;
  }
  int32_t find(const std::string& text) const {
    const auto it = ids_.find(text);
    return it == ids_.end() ? -1 : it->second;
  }
  std::vector<std::string> texts;

 private:
  std::unordered_map<std::string, int32_t> ids_;
};

struct Symbol {
  int32_t id;
  size_t length;  // in characters
};
struct Word {
  std::vector<Symbol> symbols;
  uint64_t count;
};

using Pair = uint64_t;  // left id above, right id below: ordered as pairs are
Pair make_pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

template <typename F>
void each_char(std::string_view text, F&& f) {
  for (size_t i = 0; i < text.size();) {
    const size_t size = decode_utf8(text, i).size;
    f(text.substr(i, size), i == 0, i + size == text.size());
    i += size;
  }
}

// Characters that words contain (and those asked for), the rare ones dropped, in code point order.
void add_alphabet(const std::vector<std::pair<std::string, uint64_t>>& words,
                  const BpeTraining& options, Tokens& tokens) {
  std::unordered_map<std::string, uint64_t> counts;
  for (const auto& [word, count] : words)
    each_char(word,
              [&, n = count](std::string_view c, bool, bool) { counts[std::string(c)] += n; });
  for (const std::string& c : options.initial_alphabet) counts[c] = UINT64_MAX;
  std::vector<std::pair<std::string, uint64_t>> kept(counts.begin(), counts.end());
  std::sort(kept.begin(), kept.end());  // bytes of UTF-8 sort as code points
  if (kept.size() > options.limit_alphabet) {
    std::stable_sort(kept.begin(), kept.end(),
                     [](const auto& a, const auto& b) { return a.second < b.second; });
    kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(options.limit_alphabet));
    std::sort(kept.begin(), kept.end());
  }
  for (const auto& [c, count] : kept) tokens.add(c);
}

class Trainer {
 public:
  Trainer(const BpeTraining& options, Tokens& tokens) : options_(options), tokens_(tokens) {}

  void add_word(const std::string& text, uint64_t count) {
    Word word{{}, count};
    each_char(text, [&](std::string_view c, bool first, bool) {
      std::string s(c);
      if (tokens_.find(s) < 0) return;  // not in the alphabet
      if (!first) s.insert(0, options_.continuing_prefix);
      word.symbols.push_back({tokens_.add(s), 1});
    });
    words_.push_back(std::move(word));
  }

  std::vector<std::pair<int32_t, int32_t>> run() {
    count_pairs();
    std::vector<std::pair<int32_t, int32_t>> merges;
    while (tokens_.texts.size() < options_.vocab_size && !queue_.empty()) {
      Candidate top = queue_.top();
      queue_.pop();
      const int64_t count = counts_[top.pair];
      if (static_cast<int64_t>(top.count) != count) {
        top.count = count < 0 ? 0 : static_cast<uint64_t>(count);
        if (top.count > 0) queue_.push(std::move(top));
        continue;
      }
      if (top.count < 1 || options_.min_frequency > top.count) break;
      merges.push_back(merge(top));
      if (options_.progress && merges.size() % 64 == 0)
        options_.progress(static_cast<double>(tokens_.texts.size()) /
                          static_cast<double>(options_.vocab_size));
    }
    return merges;
  }

 private:
  // A pair with the words where it was seen when it was put into the queue; a pair may be there
  // more than once, with different words.
  struct Candidate {
    uint64_t count;
    Pair pair;
    std::vector<uint32_t> words;
    // The most frequent pair first; of equal ones the one with the lower ids.
    bool operator<(const Candidate& o) const {
      return count != o.count ? count < o.count : pair > o.pair;
    }
  };

  void see(Pair pair, uint32_t word) {
    std::vector<uint32_t>& seen = seen_[pair];
    if (seen.empty() || seen.back() != word) seen.push_back(word);
  }

  void push_seen() {
    for (auto& [pair, words] : seen_) {
      const int64_t count = counts_[pair];
      if (count > 0) queue_.push({static_cast<uint64_t>(count), pair, std::move(words)});
    }
    seen_.clear();
  }

  void count_pairs() {
    for (uint32_t w = 0; w < words_.size(); ++w) {
      const std::vector<Symbol>& symbols = words_[w].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const Pair pair = make_pair_key(symbols[i].id, symbols[i + 1].id);
        counts_[pair] += static_cast<int64_t>(words_[w].count);
        see(pair, w);
      }
    }
    push_seen();
  }

  std::pair<int32_t, int32_t> merge(const Candidate& top) {
    const auto left = static_cast<int32_t>(top.pair >> 32);
    const auto right = static_cast<int32_t>(top.pair & 0xFFFFFFFF);
    std::string_view tail = tokens_.texts[static_cast<size_t>(right)];
    if (tail.starts_with(options_.continuing_prefix))
      tail.remove_prefix(options_.continuing_prefix.size());
    const int32_t merged =
        tokens_.add(tokens_.texts[static_cast<size_t>(left)] + std::string(tail));
    for (const uint32_t w : top.words) merge_in_word(w, left, right, merged);
    push_seen();
    return {left, right};
  }

  void merge_in_word(uint32_t w, int32_t left, int32_t right, int32_t merged) {
    std::vector<Symbol>& s = words_[w].symbols;
    const auto count = static_cast<int64_t>(words_[w].count);
    const auto lost = [&](int32_t a, int32_t b) { counts_[make_pair_key(a, b)] -= count; };
    const auto won = [&](int32_t a, int32_t b) {
      counts_[make_pair_key(a, b)] += count;
      see(make_pair_key(a, b), w);
    };
    for (size_t i = 0; i + 1 < s.size(); ++i) {
      if (s[i].id != left || s[i + 1].id != right) continue;
      const size_t length = s[i].length + s[i + 1].length;
      if (i > 0) {
        lost(s[i - 1].id, left);
        if (s[i - 1].length + length < options_.max_token_length) won(s[i - 1].id, merged);
      }
      s[i] = {merged, length};
      s.erase(s.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      if (i + 1 < s.size()) {
        lost(right, s[i + 1].id);
        if (s[i + 1].length + length < options_.max_token_length) won(merged, s[i + 1].id);
      }
    }
  }

  const BpeTraining& options_;
  Tokens& tokens_;
  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t> counts_;
  std::unordered_map<Pair, std::vector<uint32_t>> seen_;  // since the last push
  std::priority_queue<Candidate> queue_;
};

}  // namespace

TrainedBpe train_bpe(const std::vector<std::pair<std::string, uint64_t>>& words,
                     const BpeTraining& options) {
  Tokens tokens;
  for (const std::string& special : options.special_tokens) tokens.add(special);
  add_alphabet(words, options, tokens);
  Trainer trainer(options, tokens);
  for (const auto& [word, count] : words) trainer.add_word(word, count);
  TrainedBpe out;
  out.merges = trainer.run();
  out.tokens = std::move(tokens.texts);
  return out;
}

}  // namespace lm
