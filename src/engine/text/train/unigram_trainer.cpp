#include "engine/text/train/unigram_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "engine/text/trie.h"
#include "engine/text/unicode.h"

namespace lm {

namespace {

using Words = std::vector<std::pair<std::string, uint64_t>>;
using Pieces = std::vector<std::pair<std::string, double>>;

constexpr double kUnknownPenalty = 10;  // below the lowest score, for characters without a piece

std::vector<size_t> char_starts(std::string_view word) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < word.size(); i += decode_utf8(word, i).size) starts.push_back(i);
  starts.push_back(word.size());
  return starts;
}

size_t count_chars(std::string_view text) {
  return char_starts(text).size() - 1;
}

// The characters to keep with their counts, the most frequent first.
std::vector<std::pair<std::string, uint64_t>> alphabet(const Words& words,
                                                       const UnigramTraining& options) {
  std::unordered_map<std::string, uint64_t> counts;
  for (const auto& [word, count] : words) {
    for (size_t i = 0; i < word.size();) {
      const size_t size = decode_utf8(word, i).size;
      counts[word.substr(i, size)] += count;
      i += size;
    }
  }
  std::vector<std::pair<std::string, uint64_t>> kept(counts.begin(), counts.end());
  const auto& first = options.initial_alphabet;
  const auto is_first = [&](const std::string& c) {
    return std::find(first.begin(), first.end(), c) != first.end();
  };
  std::sort(kept.begin(), kept.end(), [&](const auto& a, const auto& b) {
    const bool x = is_first(a.first), y = is_first(b.first);
    if (x != y) return x;
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  for (const std::string& c : first) {
    if (!counts.contains(c)) kept.emplace_back(c, 1);
  }
  if (kept.size() > options.limit_alphabet) kept.resize(options.limit_alphabet);
  return kept;
}

// Substrings that occur at least twice, those first that cover most text.
Pieces seed_pieces(const Words& words, const UnigramTraining& options,
                   const std::vector<std::pair<std::string, uint64_t>>& chars) {
  std::unordered_map<std::string, uint64_t> counts;
  for (const auto& [word, count] : words) {
    const std::vector<size_t> at = char_starts(word);
    for (size_t i = 0; i + 1 < at.size(); ++i) {
      for (size_t n = 2; n <= options.max_piece_length && i + n < at.size(); ++n)
        counts[word.substr(at[i], at[i + n] - at[i])] += count;
    }
  }
  std::vector<std::pair<std::string, uint64_t>> found;
  for (const auto& [piece, count] : counts) {
    if (count >= 2) found.emplace_back(piece, count * count_chars(piece));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  const size_t most = std::max<size_t>(options.vocab_size * 20, 100000);
  if (found.size() > most) found.resize(most);
  Pieces pieces;
  double sum = 0;
  for (const auto& list : {chars, found}) {
    for (const auto& [piece, count] : list) {
      pieces.emplace_back(piece, static_cast<double>(count));
      sum += static_cast<double>(count);
    }
  }
  for (auto& [piece, score] : pieces) score = std::log(score / sum);
  return pieces;
}

double log_add(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return std::isinf(low) ? high : high + std::log1p(std::exp(low - high));
}

double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  x -= 0.5;
  const double xx = 1 / x, xx2 = xx * xx, xx4 = xx2 * xx2;
  return result + std::log(x) + xx2 / 24 - 7.0 / 960 * xx4 + 31.0 / 8064 * xx4 * xx2 -
         127.0 / 30720 * xx4 * xx4;
}

// All ways to cut a word into pieces.
class Lattice {
 public:
  explicit Lattice(const Pieces& pieces) : pieces_(pieces) {
    std::vector<Trie::Entry> entries;
    for (size_t i = 0; i < pieces.size(); ++i) {
      entries.push_back({pieces[i].first, static_cast<int32_t>(i)});
      lowest_ = std::min(lowest_, pieces[i].second);
    }
    trie_ = Trie(std::move(entries));
  }

  // Adds `count` times the probability of each piece being used in the word to expected[piece];
  // returns the word's log probability.
  double expect(std::string_view word, double count, std::vector<double>& expected) {
    build(word, -1);
    forward_.assign(word.size() + 1, -INFINITY);
    backward_.assign(word.size() + 1, -INFINITY);
    forward_[0] = backward_[word.size()] = 0;
    for (const Arc& a : arcs_)
      forward_[a.end] = log_add(forward_[a.end], forward_[a.begin] + a.score);
    for (size_t i = arcs_.size(); i-- > 0;) {
      const Arc& a = arcs_[i];
      backward_[a.begin] = log_add(backward_[a.begin], backward_[a.end] + a.score);
    }
    const double total = forward_[word.size()];
    for (const Arc& a : arcs_) {
      if (a.piece >= 0)
        expected[static_cast<size_t>(a.piece)] +=
            count * std::exp(forward_[a.begin] + a.score + backward_[a.end] - total);
    }
    return total;
  }

  // The best cut, without the piece `without` (-1: with all). Empty when some character has no
  // piece.
  std::vector<int32_t> best(std::string_view word, int32_t without) {
    build(word, without);
    forward_.assign(word.size() + 1, -INFINITY);
    forward_[0] = 0;
    from_.assign(word.size() + 1, -1);
    for (size_t i = 0; i < arcs_.size(); ++i) {
      const Arc& a = arcs_[i];
      if (forward_[a.begin] + a.score <= forward_[a.end]) continue;
      forward_[a.end] = forward_[a.begin] + a.score;
      from_[a.end] = static_cast<int32_t>(i);
    }
    std::vector<int32_t> pieces;
    for (size_t end = word.size(); end > 0;) {
      if (from_[end] < 0) return {};
      const Arc& a = arcs_[static_cast<size_t>(from_[end])];
      if (a.piece < 0) return {};
      pieces.push_back(a.piece);
      end = a.begin;
    }
    std::reverse(pieces.begin(), pieces.end());
    return pieces;
  }

 private:
  struct Arc {
    size_t begin, end;
    int32_t piece;  // -1: a character without a piece
    double score;
  };
  // Arcs ordered by where they begin.
  void build(std::string_view word, int32_t without) {
    arcs_.clear();
    for (size_t at = 0; at < word.size();) {
      const size_t size = decode_utf8(word, at).size;
      bool covered = false;
      trie_.prefixes(word, at, [&](size_t n, int32_t id) {
        if (id == without) return;
        arcs_.push_back({at, at + n, id, pieces_[static_cast<size_t>(id)].second});
        covered = covered || n == size;
      });
      if (!covered) arcs_.push_back({at, at + size, -1, lowest_ - kUnknownPenalty});
      at += size;
    }
  }

  const Pieces& pieces_;
  Trie trie_;
  double lowest_ = 0;
  std::vector<Arc> arcs_;
  std::vector<double> forward_, backward_;
  std::vector<int32_t> from_;
};

// One step of expectation maximisation; pieces that are hardly used go, but for single characters
// and as long as `at_least` stay.
Pieces em_step(const Words& words, const Pieces& pieces, size_t at_least) {
  Lattice lattice(pieces);
  std::vector<double> expected(pieces.size());
  for (const auto& [word, count] : words)
    lattice.expect(word, static_cast<double>(count), expected);
  std::vector<size_t> order(pieces.size());  // the most used first, characters before all
  std::iota(order.begin(), order.end(), size_t{0});
  const auto weight = [&](size_t i) {
    return count_chars(pieces[i].first) == 1 ? INFINITY : expected[i];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return weight(a) > weight(b); });
  std::vector<bool> keep(pieces.size());
  for (size_t n = 0; n < order.size(); ++n)
    keep[order[n]] = n < at_least || weight(order[n]) >= 0.5;
  Pieces next;
  double sum = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!keep[i]) continue;
    next.emplace_back(pieces[i].first, std::max(expected[i], 0.5));
    sum += next.back().second;
  }
  const double log_sum = digamma(sum);
  for (auto& [piece, score] : next) score = digamma(score) - log_sum;
  return next;
}

// Keeps single characters, and of the others those whose loss would cost the text most: how much
// less probable it gets when their uses are cut the next best way.
Pieces prune(const Words& words, const Pieces& pieces, const UnigramTraining& options) {
  Lattice lattice(pieces);
  std::vector<double> used(pieces.size());
  double total = 0;
  for (const auto& [word, count] : words) {
    for (const int32_t piece : lattice.best(word, -1)) {
      used[static_cast<size_t>(piece)] += static_cast<double>(count);
      total += static_cast<double>(count);
    }
  }
  std::vector<std::pair<double, size_t>> losses;
  std::vector<bool> keep(pieces.size());
  size_t kept = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string& text = pieces[i].first;
    if (count_chars(text) == 1) {
      keep[i] = true;
      ++kept;
      continue;
    }
    if (used[i] == 0) {  // never the best choice: only if nothing better is left
      losses.emplace_back(-INFINITY, i);
      continue;
    }
    const std::vector<int32_t> other = lattice.best(text, static_cast<int32_t>(i));
    if (other.empty()) {
      keep[i] = true;
      ++kept;
      continue;
    }
    double log_probability = 0;
    for (const int32_t piece : other)
      log_probability += std::log((used[static_cast<size_t>(piece)] + used[i] + 1e-9) /
                                  (total + used[i] * static_cast<double>(other.size() - 1)));
    losses.emplace_back(used[i] / total * (std::log(used[i] / total) - log_probability), i);
  }
  const auto wanted =
      std::max(static_cast<size_t>(static_cast<double>(options.vocab_size) * 1.1),
               static_cast<size_t>(static_cast<double>(pieces.size()) * options.shrinking_factor));
  std::sort(losses.begin(), losses.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& [loss, i] : losses) {
    if (kept >= wanted) break;
    keep[i] = true;
    ++kept;
  }
  Pieces next;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (keep[i]) next.push_back(pieces[i]);
  }
  return next;
}

}  // namespace

Pieces train_unigram(const Words& words, const UnigramTraining& options) {
  const auto chars = alphabet(words, options);
  Pieces pieces = seed_pieces(words, options, chars);
  const size_t start = pieces.size();
  const auto wanted = static_cast<size_t>(static_cast<double>(options.vocab_size) * 1.1);
  while (true) {
    for (int i = 0; i < options.em_steps; ++i) pieces = em_step(words, pieces, options.vocab_size);
    if (options.progress && start > options.vocab_size)
      options.progress(
          1 - std::log(static_cast<double>(std::max(pieces.size(), wanted)) /
                       static_cast<double>(wanted)) /
                  std::log(static_cast<double>(start) / static_cast<double>(wanted) + 1e-9));
    if (pieces.size() <= wanted) break;
    const size_t before = pieces.size();
    pieces = prune(words, pieces, options);
    if (pieces.size() == before) break;
  }
  // Characters first, then the best of the others.
  std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    const bool x = count_chars(a.first) == 1, y = count_chars(b.first) == 1;
    if (x != y) return x;
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (pieces.size() > options.vocab_size) pieces.resize(std::max(options.vocab_size, chars.size()));
  std::sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return pieces;
}

}  // namespace lm
