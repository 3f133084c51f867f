#include "engine/infer/sampler/dry_breakers.h"

#include <algorithm>
#include <string_view>

#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr size_t kMaxRest = 20;  // tokens

// Lengths of the beginnings of `text` (shorter than it) that `piece` ends with.
std::vector<size_t> overlaps(std::string_view piece, std::string_view text) {
  std::vector<size_t> lengths;
  for (size_t n = std::min(piece.size(), text.size() - 1); n > 0; --n)
    if (piece.ends_with(text.substr(0, n))) lengths.push_back(n);
  return lengths;
}

void add_overlaps(const Tokenizer& tokenizer, int32_t id, std::string_view piece,
                  const std::string& text, std::vector<std::vector<int32_t>>& out) {
  for (const size_t n : overlaps(piece, text)) {
    auto rest = tokenizer.encode(text.substr(n), {false, false});
    if (rest.size() > kMaxRest) rest.resize(kMaxRest);
    rest.insert(rest.begin(), id);
    if (std::find(out.begin(), out.end(), rest) == out.end()) out.push_back(std::move(rest));
  }
}

}  // namespace

std::vector<std::vector<int32_t>> dry_breakers(const Tokenizer& tokenizer,
                                               const std::vector<std::string>& texts) {
  std::vector<std::vector<int32_t>> out;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view piece = tokenizer.token_bytes(id);
    const bool whole = std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
      return !text.empty() && piece.find(text) != std::string_view::npos;
    });
    if (whole) {
      out.push_back({id});
      continue;
    }
    for (const std::string& text : texts)
      if (!text.empty()) add_overlaps(tokenizer, id, piece, text, out);
  }
  return out;
}

SamplingOptions with_dry_breakers(SamplingOptions options, const Tokenizer& tokenizer) {
  if (options.dry_multiplier > 0)
    options.dry_breaker_ids = dry_breakers(tokenizer, options.dry_sequence_breakers);
  return options;
}

}  // namespace lm
