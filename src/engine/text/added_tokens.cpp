#include "engine/text/added_tokens.h"

#include <algorithm>

#include "engine/text/unicode.h"

namespace lm {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& t) { return t.text.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const auto& a, const auto& b) { return a.text < b.text; });
  for (const AddedToken& t : tokens_) first_byte_[static_cast<uint8_t>(t.text[0])] = true;
}

// The longest token that begins at `at`: the sorted range of tokens that share the text's next
// bytes shrinks byte by byte, so a hostile list costs a logarithm per byte.
const AddedToken* AddedTokens::match(std::string_view text, size_t at, bool parse_special) const {
  auto begin = tokens_.begin(), end = tokens_.end();
  const AddedToken* best = nullptr;
  for (size_t depth = 0; at + depth < text.size() && begin != end; ++depth) {
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    // Tokens that end here are the shortest of the range, so they come first in it.
    begin = std::partition_point(begin, end, [&](const AddedToken& t) {
      return t.text.size() <= depth || static_cast<uint8_t>(t.text[depth]) < byte;
    });
    end = std::partition_point(begin, end, [&](const AddedToken& t) {
      return static_cast<uint8_t>(t.text[depth]) == byte;
    });
    for (auto t = begin; t != end && t->text.size() == depth + 1; ++t) {
      if (!t->special || parse_special) {
        best = &*t;
        break;
      }
    }
  }
  return best;
}

namespace {

bool is_word_char(std::string_view text, size_t at) {
  const CodePoint c = decode_utf8(text, at);
  return c.value == '_' || (char_class(c.value) & (kLetter | kNumber | kMark)) != 0;
}

size_t previous_char(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_char(text, previous_char(text, begin))) return false;
  return end == text.size() || !is_word_char(text, end);
}

}  // namespace

void AddedTokens::split(std::string_view text, bool parse_special, std::vector<Part>& out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (!first_byte_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const AddedToken* token = match(text, at, parse_special);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->text.size();
    if (token->single_word && !stands_alone(text, begin, end)) {
      at = end;
      continue;
    }
    if (token->lstrip) {
      while (begin > done) {
        const size_t before = previous_char(text, begin);
        if (before < done || (char_class(decode_utf8(text, before).value) & kSpace) == 0) break;
        begin = before;
      }
    }
    if (token->rstrip) {
      while (end < text.size()) {
        const CodePoint c = decode_utf8(text, end);
        if ((char_class(c.value) & kSpace) == 0) break;
        end += c.size;
      }
    }
    if (begin > done) out.push_back({text.substr(done, begin - done), nullptr});
    out.push_back({text.substr(begin, end - begin), token});
    at = done = end;
  }
  if (done < text.size()) out.push_back({text.substr(done), nullptr});
}

}  // namespace lm
