// Which tokens may come next. What an expression allows by itself depends on nothing else, so it is
// found once, by a walk over the vocabulary, and kept; at the nodes where the expression may end
// the walk goes on in what follows it, and that too is kept for each pair of expressions, each
// triple ... A mask is then a few words or'ed together. (XGrammar, arXiv 2411.15100, divides tokens
// in the same way; llguidance walks the trie afresh.)
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/infer/constrain/machine.h"
#include "engine/infer/constrain/vocab_trie.h"

namespace lm {

class Masks {
 public:
  Masks(Machine& machine, std::shared_ptr<VocabTrie> trie)
      : machine_(machine), trie_(std::move(trie)) {}

  // Sets the bits of the tokens that may follow in `state`; out has trie.words() words.
  void mask(SetId state, std::span<uint64_t> out);
  // The same by a walk with nothing kept: what mask() must agree with.
  void mask_by_walk(SetId state, std::span<uint64_t> out);

 private:
  using ChainId = uint32_t;
  struct Local {
    std::shared_ptr<const LocalMask> mask;
    ChainId chain;
  };
  // What a token may be that goes through the ends of several expressions.
  struct Chain {
    std::vector<int32_t> tokens;
    std::vector<uint32_t> pops;
  };
  template <typename OnNode>
  void walk(uint32_t node, SetId state, OnNode&& on_node);
  const Local& local(ExprId e);
  std::shared_ptr<const LocalMask> make_local(ExprId e);
  std::shared_ptr<const LocalMask> find_local(ExprId e);
  std::shared_ptr<const LocalMask> like_free_string(ExprId e, ExprId free);
  std::shared_ptr<const LocalMask> counted(ExprId free, uint32_t min, uint32_t max);
  std::shared_ptr<const TokenLengths> token_lengths(ExprId free);
  ChainId chain(ChainId before, ExprId e);
  void extend(ChainId chain, SetId rest, std::span<uint64_t> out);
  void trim();

  Machine& machine_;
  std::shared_ptr<VocabTrie> trie_;
  std::unordered_map<ExprId, Local> locals_;
  std::vector<Chain> chains_;
  std::unordered_map<uint64_t, ChainId> chain_ids_;
  std::unordered_set<uint64_t> visited_;
  std::vector<SetId> path_, base_path_;
  size_t bytes_ = 0;
};

}  // namespace lm
