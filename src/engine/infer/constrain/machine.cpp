#include "engine/infer/constrain/machine.h"

#include <algorithm>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr SetId kUnknown = 0xFFFFFFFF;

uint64_t pair_key(uint32_t a, uint32_t b) {
  return static_cast<uint64_t>(a) << 32 | b;
}

uint64_t hash_items(const std::vector<Machine::Item>& items) {
  uint64_t h = 0x51ED270B27B4F3CFull;
  for (const auto& item : items) {
    h = (h ^ pair_key(item.expr, item.rest)) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 31;
  }
  return h;
}

}  // namespace

Machine::Machine(std::unique_ptr<Grammar> grammar, RuleId start) : grammar_(std::move(grammar)) {
  sets_.emplace_back();  // kDead
  by_hash_.emplace(hash_items({}), kDead);
  intern({{kDone, kDead}});
  start_ = closure(grammar_->body(start), kEnd);
}

SetId Machine::intern(std::vector<Item> items) {
  const uint64_t hash = hash_items(items);
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (sets_[it->second].items == items) return it->second;
  LM_CHECK(sets_.size() < kMaxSets, ErrorCode::unsupported,
           "constraint: more than {} parser states; expected a simpler grammar or a shorter text",
           kMaxSets);
  grammar_->work(items.size());
  Set set;
  for (const Item& item : items) set.depth = std::max(set.depth, sets_[item.rest].depth + 1);
  set.ends = !items.empty() && items[0].expr == kDone;
  set.items = std::move(items);
  bytes_ += sizeof(Set) + set.items.size() * sizeof(Item) + 48;
  sets_.push_back(std::move(set));
  const auto id = static_cast<SetId>(sets_.size() - 1);
  by_hash_.emplace(hash, id);
  return id;
}

SetId Machine::unite(SetId a, SetId b) {
  if (a == b || b == kDead) return a;
  if (a == kDead) return b;
  if (a > b) std::swap(a, b);
  const uint64_t key = pair_key(a, b);
  if (const auto known = unions_.find(key); known != unions_.end()) return known->second;
  std::vector<Item> merged;
  const std::vector<Item> x = sets_[a].items, y = sets_[b].items;
  for (size_t i = 0, j = 0; i < x.size() || j < y.size();) {
    if (j == y.size() || (i < x.size() && x[i].expr < y[j].expr)) {
      merged.push_back(x[i++]);
    } else if (i == x.size() || y[j].expr < x[i].expr) {
      merged.push_back(y[j++]);
    } else {
      merged.push_back({x[i].expr, unite(x[i].rest, y[j].rest)});
      ++i, ++j;
    }
  }
  const SetId result = intern(std::move(merged));
  unions_.emplace(key, result);
  return result;
}

// What can be read at (e, rest): e itself, the beginnings of the rules it calls, and where e may
// end, what follows.
SetId Machine::closure(ExprId e, SetId rest) {
  const uint64_t key = pair_key(e, rest);
  if (const auto known = closures_.find(key); known != closures_.end()) return known->second;
  struct Visit {
    Item item;
    bool may_end;
    auto operator<=>(const Visit&) const = default;
  };
  std::vector<Visit> todo{{{e, rest}, true}}, seen;
  std::vector<Item> found;
  while (!todo.empty()) {
    const Visit v = todo.back();
    todo.pop_back();
    if (const auto at = std::lower_bound(seen.begin(), seen.end(), v);
        at != seen.end() && *at == v) {
      continue;
    } else {
      seen.insert(at, v);
    }
    grammar_->work(seen.size() / 16 + 1);
    if (v.item.expr == kDone) {
      found.push_back({kDone, kDead});
      continue;
    }
    if (!grammar_->row(v.item.expr).live.empty()) found.push_back(v.item);
    // The end of a rule that has read nothing is part of its caller's own beginning.
    if (v.may_end && grammar_->nullable(v.item.expr))
      for (const Item& next : sets_[v.item.rest].items) todo.push_back({next, true});
    for (const auto& call : grammar_->calls(v.item.expr)) {
      SetId back = v.item.rest;  // a tail call returns to where the caller would
      if (call.rest != kEpsilon) {
        if (sets_[back].depth >= kMaxStack) continue;
        back = intern({{call.rest, back}});
      }
      todo.push_back({{grammar_->body(call.rule), back}, false});
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<Item> merged;
  for (const Item& item : found) {
    if (!merged.empty() && merged.back().expr == item.expr) {
      merged.back().rest = unite(merged.back().rest, item.rest);
    } else {
      merged.push_back(item);
    }
  }
  const SetId result = intern(std::move(merged));
  closures_.emplace(key, result);
  return result;
}

SetId Machine::compute_step(SetId state, uint8_t byte) {
  SetId result = kDead;
  for (size_t i = 0; i < sets_[state].items.size(); ++i) {
    const Item item = sets_[state].items[i];
    if (item.expr == kDone) continue;
    const ExprId next = grammar_->row(item.expr).at(byte);
    if (next != kNothing) result = unite(result, closure(next, item.rest));
  }
  return result;
}

SetId Machine::step(SetId state, uint8_t byte) {
  if (state == kDead) return kDead;
  if (!sets_[state].next) {
    auto row = std::make_unique<std::array<SetId, 256>>();
    row->fill(kDead);
    live(state).each([&](uint8_t b) { (*row)[b] = kUnknown; });
    sets_[state].next = std::move(row);
    bytes_ += 1024;
  }
  SetId to = (*sets_[state].next)[byte];
  if (to == kUnknown) {
    to = compute_step(state, byte);
    (*sets_[state].next)[byte] = to;
  }
  return to;
}

ByteSet Machine::live(SetId state) {
  ByteSet live;
  for (const Item& item : sets_[state].items)
    if (item.expr != kDone) live |= grammar_->row(item.expr).live;
  return live;
}

void Machine::trim() {
  for (Set& set : sets_)
    if (set.next) {
      set.next.reset();
      bytes_ -= 1024;
    }
  closures_.clear();
  unions_.clear();
}

}  // namespace lm
