#include "engine/infer/constrain/masks.h"

#include <algorithm>

namespace lm {
namespace {

constexpr size_t kMaxBytes = size_t{128} << 20;  // of everything kept
constexpr size_t kFew = 512;                     // tokens to list rather than to keep as bits

void set_bit(std::span<uint64_t> bits, int32_t i) {
  bits[static_cast<size_t>(i) >> 6] |= uint64_t{1} << (i & 63);
}
void clear_bit(std::span<uint64_t> bits, int32_t i) {
  bits[static_cast<size_t>(i) >> 6] &= ~(uint64_t{1} << (i & 63));
}

}  // namespace

// Calls on_node(index, state) for the nodes below `node` that can be read from `state`; it returns
// whether to look below.
template <typename OnNode>
void Masks::walk(uint32_t node, SetId state, OnNode&& on_node) {
  const auto& nodes = trie_->nodes();
  path_.resize(static_cast<size_t>(trie_->max_depth()) + 1);
  path_[nodes[node].depth] = state;
  const uint32_t end = nodes[node].end;
  size_t visits = 0;
  for (uint32_t i = node + 1; i < end;) {
    const VocabTrie::Node& n = nodes[i];
    const SetId next = machine_.step(path_[n.depth - 1], n.byte);
    ++visits;
    path_[n.depth] = next;
    i = next != kDead && on_node(i, next) ? i + 1 : n.end;
  }
  machine_.grammar().work(visits / 8);
}

void Masks::mask_by_walk(SetId state, std::span<uint64_t> out) {
  walk(0, state, [&](uint32_t i, SetId) {
    trie_->tokens_at(trie_->nodes()[i], [&](int32_t id) { set_bit(out, id); });
    return true;
  });
}

std::shared_ptr<const LocalMask> Masks::make_local(ExprId e) {
  auto made = std::make_shared<LocalMask>();
  walk(0, machine_.only(e), [&](uint32_t i, SetId next) {
    trie_->tokens_at(trie_->nodes()[i], [&](int32_t id) { made->tokens.push_back(id); });
    if (machine_.may_end(next)) made->pops.push_back(i);
    return next != kEnd;
  });
  if (made->tokens.size() > kFew) {
    made->bits.resize(trie_->words());
    for (const int32_t id : made->tokens) set_bit(made->bits, id);
    made->tokens = {};
  }
  return made;
}

// A string that may be nearly anything differs from free text at few nodes: where both walks come
// to the same state, the rest is the same.
std::shared_ptr<const LocalMask> Masks::like_free_string(ExprId e, ExprId free) {
  const auto base = local(free).mask;
  auto made = std::make_shared<LocalMask>();
  made->bits = base->bits;
  if (made->bits.empty()) {
    made->bits.resize(trie_->words());
    for (const int32_t id : base->tokens) set_bit(made->bits, id);
  }
  const auto& nodes = trie_->nodes();
  base_path_.assign(static_cast<size_t>(trie_->max_depth()) + 1, machine_.only(free));
  path_.assign(static_cast<size_t>(trie_->max_depth()) + 1, machine_.only(e));
  for (uint32_t i = 1; i < nodes.size();) {
    const VocabTrie::Node& n = nodes[i];
    const SetId was = machine_.step(base_path_[n.depth - 1], n.byte);
    const SetId is = machine_.step(path_[n.depth - 1], n.byte);
    base_path_[n.depth] = was;
    path_[n.depth] = is;
    if (was == is) {
      const auto first = std::lower_bound(base->pops.begin(), base->pops.end(), i);
      const auto last = std::lower_bound(first, base->pops.end(), n.end);
      made->pops.insert(made->pops.end(), first, last);
      i = n.end;
    } else if (is == kDead) {
      for (uint32_t k = i; k < n.end; ++k)
        trie_->tokens_at(nodes[k], [&](int32_t id) { clear_bit(made->bits, id); });
      i = n.end;
    } else {
      trie_->tokens_at(n, [&](int32_t id) { set_bit(made->bits, id); });
      if (machine_.may_end(is)) made->pops.push_back(i);
      ++i;
    }
  }
  return made;
}

// Characters that each token and node of free text adds: the walk is between two characters
// whenever it is back in its first state.
std::shared_ptr<const TokenLengths> Masks::token_lengths(ExprId free) {
  if (auto known = trie_->lengths()) return known;
  auto made = std::make_shared<TokenLengths>();
  const SetId between = machine_.only(free);
  std::vector<uint32_t> done(static_cast<size_t>(trie_->max_depth()) + 1);
  walk(0, between, [&](uint32_t i, SetId next) {
    const VocabTrie::Node& n = trie_->nodes()[i];
    const bool closed = machine_.may_end(next);
    const uint32_t before = done[n.depth - 1u];
    done[n.depth] = before + (next == between ? 1 : 0);
    const uint32_t needed = before + (closed ? 0 : 1);  // a character that has begun must fit
    trie_->tokens_at(
        n, [&](int32_t id) { (closed ? made->closing : made->inside).emplace_back(needed, id); });
    if (closed) made->pops.emplace_back(needed, i);
    return next != kEnd;
  });
  std::sort(made->inside.begin(), made->inside.end(), std::greater<>());
  trie_->set_lengths(made);
  return made;
}

std::shared_ptr<const LocalMask> Masks::counted(ExprId free, uint32_t min, uint32_t max) {
  const auto lengths = token_lengths(free);
  auto made = std::make_shared<LocalMask>(*local(free).mask);
  for (const auto& [n, id] : lengths->inside) {
    if (n <= max) break;
    clear_bit(made->bits, id);
  }
  for (const auto& [n, id] : lengths->closing)
    if (n < min || n > max) clear_bit(made->bits, id);
  made->pops.clear();
  for (const auto& [n, node] : lengths->pops)
    if (n >= min && n <= max) made->pops.push_back(node);
  return made;
}

std::shared_ptr<const LocalMask> Masks::find_local(ExprId e) {
  Grammar& g = machine_.grammar();
  if (const ExprId text = g.json_string_text(e); text != kNothing && g.free_text != kNothing) {
    uint32_t min = 0, max = kUnbounded;
    const ExprId free = g.json_string(g.free_text);
    if (text != g.free_text) {
      const bool bits = !local(free).mask->bits.empty();  // else the vocabulary is tiny
      if (bits && g.is_repeat(text, g.free_char, &min, &max)) return counted(free, min, max);
      if (bits && g.is_part(text, g.free_text)) return like_free_string(e, free);
    }
  }
  if (!g.has_fingerprint(e)) return make_local(e);
  const auto fingerprint = g.fingerprint(e);
  if (auto known = trie_->shared(fingerprint)) return known;
  auto made = make_local(e);
  if (!made->bits.empty() || made->tokens.size() > 32) trie_->share(fingerprint, made);
  return made;
}

const Masks::Local& Masks::local(ExprId e) {
  if (const auto known = locals_.find(e); known != locals_.end()) return known->second;
  auto mask = find_local(e);
  bytes_ += mask->bits.size() * 8 + mask->tokens.size() * 4 + mask->pops.size() * 8 + 128;
  chains_.push_back({{}, mask->pops});
  const auto id = static_cast<ChainId>(chains_.size() - 1);
  return locals_.emplace(e, Local{std::move(mask), id}).first->second;
}

Masks::ChainId Masks::chain(ChainId before, ExprId e) {
  const uint64_t key = static_cast<uint64_t>(before) << 32 | e;
  if (const auto known = chain_ids_.find(key); known != chain_ids_.end()) return known->second;
  Chain made;
  const SetId state = machine_.opened(e);
  const std::vector<uint32_t> pops = chains_[before].pops;
  for (const uint32_t pop : pops) {
    if (machine_.may_end(state)) made.pops.push_back(pop);
    if (state == kEnd) continue;
    walk(pop, state, [&](uint32_t i, SetId next) {
      trie_->tokens_at(trie_->nodes()[i], [&](int32_t id) { made.tokens.push_back(id); });
      if (machine_.may_end(next)) made.pops.push_back(i);
      return next != kEnd;
    });
  }
  bytes_ += made.tokens.size() * 4 + made.pops.size() * 4 + 128;
  chains_.push_back(std::move(made));
  const auto id = static_cast<ChainId>(chains_.size() - 1);
  chain_ids_.emplace(key, id);
  return id;
}

void Masks::extend(ChainId before, SetId rest, std::span<uint64_t> out) {
  if (chains_[before].pops.empty()) return;
  if (!visited_.insert(static_cast<uint64_t>(before) << 32 | rest).second) return;
  for (size_t i = 0; i < machine_.items(rest).size(); ++i) {
    const Machine::Item item = machine_.items(rest)[i];
    if (item.expr == kDone) continue;
    const ChainId id = chain(before, item.expr);
    for (const int32_t token : chains_[id].tokens) set_bit(out, token);
    extend(id, item.rest, out);
  }
}

void Masks::mask(SetId state, std::span<uint64_t> out) {
  if (bytes_ + machine_.bytes() > kMaxBytes) trim();
  visited_.clear();
  for (size_t i = 0; i < machine_.items(state).size(); ++i) {
    const Machine::Item item = machine_.items(state)[i];
    if (item.expr == kDone) continue;
    const Local& known = local(item.expr);
    if (known.mask->bits.empty()) {
      for (const int32_t id : known.mask->tokens) set_bit(out, id);
    } else {
      for (size_t w = 0; w < out.size(); ++w) out[w] |= known.mask->bits[w];
    }
    extend(known.chain, item.rest, out);
  }
}

void Masks::trim() {
  locals_.clear();
  chains_.clear();
  chain_ids_.clear();
  bytes_ = 0;
  machine_.trim();
}

}  // namespace lm
