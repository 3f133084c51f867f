// All tokens of a vocabulary as a tree of bytes, laid out front to back so that a walk is a loop
// over an array and a subtree is skipped by one jump. Made once for a tokenizer and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lm {

class Tokenizer;

// A control token's bytes are this one and its name. The byte is in no text, so that they never
// match text by accident; a grammar may ask for them.
inline constexpr char kControlByte = '\xFF';

// What a state of the grammar allows without looking at what follows it; see masks.h.
struct LocalMask {
  std::vector<uint64_t> bits;   // [words], or empty:
  std::vector<int32_t> tokens;  // when they are few
  std::vector<uint32_t> pops;   // nodes at which the expression may end
};

// Free text in a JSON string by length: how many characters each token adds.
struct TokenLengths {
  std::vector<std::pair<uint32_t, int32_t>> inside;   // characters, token; most first
  std::vector<std::pair<uint32_t, int32_t>> closing;  // tokens that end the string
  std::vector<std::pair<uint32_t, uint32_t>> pops;    // characters, node
};

class VocabTrie {
 public:
  struct Node {
    uint32_t end = 0;    // the node behind the subtree
    int32_t token = -1;  // -1: none, -2 - i: list i of several with the same bytes
    uint16_t depth = 0;  // bytes from the root
    uint8_t byte = 0;
  };
  explicit VocabTrie(const Tokenizer& tokenizer);

  // The trie of a tokenizer, made when first asked for and kept as long as somebody uses it.
  static std::shared_ptr<VocabTrie> of(const std::shared_ptr<const Tokenizer>& tokenizer);

  const std::vector<Node>& nodes() const { return nodes_; }  // [0] is the root
  std::string_view bytes(int32_t token) const {
    return std::string_view(text_).substr(
        offsets_[static_cast<size_t>(token)],
        offsets_[static_cast<size_t>(token) + 1] - offsets_[static_cast<size_t>(token)]);
  }
  int32_t size() const { return static_cast<int32_t>(offsets_.size() - 1); }
  size_t words() const { return (static_cast<size_t>(size()) + 63) / 64; }
  int max_depth() const { return max_depth_; }
  // The child of a node, or 0.
  uint32_t child(uint32_t node, uint8_t byte) const;
  template <typename F>
  void tokens_at(const Node& node, F&& each) const {
    if (node.token >= 0) {
      each(node.token);
    } else if (node.token < -1) {
      for (const int32_t id : lists_[static_cast<size_t>(-2 - node.token)]) each(id);
    }
  }

  // Masks of expressions that many grammars share (plain strings, numbers ...), by fingerprint.
  std::shared_ptr<const LocalMask> shared(std::pair<uint64_t, uint64_t> fingerprint) const;
  void share(std::pair<uint64_t, uint64_t> fingerprint, std::shared_ptr<const LocalMask> mask);
  // Null until they are set.
  std::shared_ptr<const TokenLengths> lengths() const;
  void set_lengths(std::shared_ptr<const TokenLengths> lengths);

 private:
  struct Key {
    uint64_t a, b;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const { return k.a; }
  };
  std::string text_;
  std::vector<uint32_t> offsets_;
  std::vector<Node> nodes_;
  std::vector<std::vector<int32_t>> lists_;
  int max_depth_ = 0;
  mutable std::mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<const LocalMask>, KeyHash> shared_;
  size_t shared_bytes_ = 0;
  std::shared_ptr<const TokenLengths> lengths_;
};

}  // namespace lm
