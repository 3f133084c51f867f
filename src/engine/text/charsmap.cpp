#include "engine/text/charsmap.h"

#include <cstring>

#include "engine/core/error.h"

namespace lm {

CharsMap::CharsMap(std::string_view blob) {
  if (blob.empty()) return;
  LM_CHECK(blob.size() > 4, ErrorCode::bad_file,
           "load: a precompiled_charsmap of {} bytes; expected more than 4", blob.size());
  uint32_t trie_bytes;
  std::memcpy(&trie_bytes, blob.data(), 4);
  LM_CHECK(trie_bytes >= 4 && trie_bytes % 4 == 0 && trie_bytes < blob.size() - 4,
           ErrorCode::bad_file,
           "load: the precompiled_charsmap says its trie has {} bytes; expected a multiple of 4 "
           "below {}",
           trie_bytes, blob.size() - 4);
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), blob.data() + 4, trie_bytes);
  replacements_ = blob.substr(4 + trie_bytes);
  replacements_.push_back('\0');
}

namespace {

// A unit is a node or, where the node above says so, a value. Bits of a node: 0-7 its byte (bit 31
// is never set in one that stands for a byte), 8 "has a value", 9 "the offset counts 256s", 10-30
// the offset to its children.
uint32_t offset_of(uint32_t unit) {
  return unit >> 10 << ((unit & 1U << 9) >> 6);
}
uint32_t label_of(uint32_t unit) {
  return unit & (1U << 31 | 0xFF);
}
bool has_value(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}

}  // namespace

CharsMap::Match CharsMap::find(std::string_view text, size_t at, bool first) const {
  Match best;
  if (units_.empty()) return best;
  size_t node = offset_of(units_[0]);
  for (size_t i = at; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    // A hostile trie can point anywhere.
    if (byte == 0 || node >= units_.size() || label_of(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (node >= units_.size()) break;
    const uint32_t begin = units_[node] & 0x7FFFFFFF;
    if (begin >= replacements_.size()) break;
    best = {i + 1 - at, std::string_view(replacements_.c_str() + begin)};
    if (first) break;
  }
  return best;
}

}  // namespace lm
