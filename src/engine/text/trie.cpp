#include "engine/text/trie.h"

#include <algorithm>

namespace lm {

Trie::Trie(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& e) { return e.key.empty(); });
  if (entries.empty()) return;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
  // Breadth first: a node stands for the range of keys that share its path.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, entries.size(), 0}};
  nodes_.push_back({});
  bytes_.push_back(0);
  for (uint32_t node = 0; node < ranges.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    if (depth > 0 && entries[begin].key.size() == depth) {
      nodes_[node].id = entries[begin].id;
      while (begin < end && entries[begin].key.size() == depth) ++begin;
    }
    nodes_[node].first = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char byte = entries[begin].key[depth];
      size_t last = begin + 1;
      while (last < end && entries[last].key[depth] == byte) ++last;
      if (node == 0) root_[static_cast<uint8_t>(byte)] = static_cast<uint32_t>(nodes_.size());
      ++nodes_[node].count;
      nodes_.push_back({});
      bytes_.push_back(static_cast<uint8_t>(byte));
      ranges.push_back({begin, last, depth + 1});
      begin = last;
    }
  }
}

}  // namespace lm
