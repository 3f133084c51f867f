// Pages of keys and values that later texts can take over: a radix tree whose edges are the tokens
// of whole pages; leaves may hold less than a page. A page stays as long as it is used or nobody
// else wants its memory (least recently used leaves go first).
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/infer/kv_pages.h"
#include "engine/infer/sequence_state.h"

namespace lm {

// Not synchronised: used by one thread at a time.
class PrefixCache {
 public:
  struct Node {
    Node* parent = nullptr;       // null: a root
    std::vector<int32_t> tokens;  // kPageTokens; fewer: the end of a text
    int32_t page = -1;            // we are one of its owners
    int64_t depth = 0;            // pages from the root to here
    uint64_t last_use = 0;
    // The recurrent layers' states after this page, where they were kept.
    std::unique_ptr<RecurrentState> state;
    std::list<std::unique_ptr<Node>> children;
  };
  // The longest known beginning of a text.
  struct Match {
    Node* node = nullptr;       // its last whole page, or a root
    Node* partly = nullptr;     // a page behind it that begins as the text goes on
    int64_t partly_tokens = 0;  // so many
    int64_t tokens() const { return node->depth * kPageTokens; }
  };

  explicit PrefixCache(KvPages& pages) : pages_(pages) {}
  ~PrefixCache();

  // salt: what keys and values depend on beside the tokens; texts of different salts share nothing.
  // with_state: only up to a node that has states; no part of a page then.
  Match match(const std::string& salt, std::span<const int32_t> tokens, bool with_state);
  // The page that follows `node` with these tokens: the one that is known, or `page`.
  Node* insert(Node* node, std::span<const int32_t> tokens, int32_t page);
  // Keeps the end of a text, fewer tokens than a page has, for texts that go on from it.
  void insert_end(Node* node, std::span<const int32_t> tokens, int32_t page);
  // Keeps a copy of the states after a node; those used longest ago go when there are many.
  void keep_state(Node* node, const RecurrentState& state);
  // Lets go of the page that was used longest ago among those that no sequence has. False: none.
  bool evict();
  int64_t n_pages() const { return n_pages_; }

 private:
  static constexpr size_t kMostStates = 64;
  void remove(Node* node);
  // Lets go of ends among the children that `tokens` goes on from; true: a child holds all of them.
  bool supersede_ends(Node* node, std::span<const int32_t> tokens);

  KvPages& pages_;
  std::unordered_map<std::string, Node> roots_;
  std::list<Node*> with_states_;  // latest last
  uint64_t clock_ = 0;
  int64_t n_pages_ = 0;
};

}  // namespace lm
