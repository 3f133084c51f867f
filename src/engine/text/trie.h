// A set of byte strings with ids, searched for the members that a text begins with at a position.
// Built once, then read by many threads.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace lm {

class Trie {
 public:
  struct Entry {
    std::string_view key;  // needed while building only
    int32_t id = -1;
  };
  Trie() = default;
  // Empty keys are left out; of equal keys the first stays.
  explicit Trie(std::vector<Entry> entries);
  bool empty() const { return nodes_.empty(); }

  // Calls found(length, id) for each member that is a prefix of text[at..], shortest first.
  template <typename F>
  void prefixes(std::string_view text, size_t at, F&& found) const {
    if (nodes_.empty()) return;
    uint32_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node == 0) return;
      if (nodes_[node].id >= 0) found(i + 1 - at, nodes_[node].id);
    }
  }

  struct Match {
    size_t size = 0;
    int32_t id = -1;  // -1: no member begins here
  };
  Match longest(std::string_view text, size_t at) const {
    Match best;
    prefixes(text, at, [&](size_t size, int32_t id) { best = {size, id}; });
    return best;
  }

 private:
  // Children of a node lie next to each other, sorted by their bytes. 0 is the root, so it also
  // says "no child".
  struct Node {
    uint32_t first = 0;
    uint16_t count = 0;
    int32_t id = -1;
  };
  uint32_t child(uint32_t node, uint8_t byte) const {
    if (node == 0) return root_[byte];
    const Node& n = nodes_[node];
    uint32_t begin = n.first, end = n.first + n.count;
    while (end - begin > 8) {
      const uint32_t middle = begin + (end - begin) / 2;
      if (bytes_[middle] <= byte) {
        begin = middle;
      } else {
        end = middle;
      }
    }
    for (; begin < end; ++begin) {
      if (bytes_[begin] == byte) return begin;
    }
    return 0;
  }

  std::vector<Node> nodes_;
  std::vector<uint8_t> bytes_;  // the byte that leads to each node
  std::array<uint32_t, 256> root_{};
};

}  // namespace lm
