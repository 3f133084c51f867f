#include "engine/infer/constrain/grammar.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"

namespace lm {
namespace {

uint32_t hash_words(Grammar::Kind kind, std::span<const uint32_t> payload) {
  uint64_t h = 0x9E3779B97F4A7C15ull ^ static_cast<uint64_t>(kind);
  for (const uint32_t w : payload) {
    h = (h ^ w) * 0xFF51AFD7ED558CCDull;
    h ^= h >> 32;
  }
  return static_cast<uint32_t>(h ^ h >> 29);
}

}  // namespace

Grammar::Grammar() {
  table_.resize(1024);
  for (const Kind kind : {Kind::done, Kind::nothing, Kind::epsilon, Kind::anything})
    intern(kind, {}, 0, 0);
}
Grammar::~Grammar() = default;

void Grammar::too_complex() {
  raise(ErrorCode::unsupported,
        "constraint: it is too complex; expected one that needs fewer states (smaller repetition "
        "counts, fewer alternatives that begin alike)");
}

ExprId Grammar::intern(Kind kind, std::span<const uint32_t> payload, uint8_t flags,
                       uint32_t depth) {
  const uint32_t hash = hash_words(kind, payload);
  const size_t mask = table_.size() - 1;
  size_t at = hash & mask;
  for (; table_[at] != 0; at = (at + 1) & mask) {
    const Node& n = nodes_[table_[at] - 1];
    if (n.hash == hash && n.kind == kind && n.count == payload.size() &&
        (n.count == 0 || std::memcmp(words_.data() + n.first, payload.data(), n.count * 4) == 0))
      return table_[at] - 1;
  }
  work();
  LM_CHECK(depth <= kMaxDepth, ErrorCode::unsupported,
           "constraint: nested deeper than {} levels; expected fewer", kMaxDepth);
  if (nodes_.size() >= kMaxExprs || words_.size() >= kMaxExprs * 16) too_complex();
  const auto id = static_cast<ExprId>(nodes_.size());
  Node n{kind,
         flags,
         static_cast<uint16_t>(depth),
         static_cast<uint32_t>(words_.size()),
         static_cast<uint32_t>(payload.size()),
         hash};
  // The payload may lie inside words_ itself.
  const std::vector<uint32_t> copy(payload.begin(), payload.end());
  words_.insert(words_.end(), copy.begin(), copy.end());
  nodes_.push_back(n);
  nullable_.push_back(-1);
  productive_.push_back(-1);
  rows_.emplace_back();
  table_[at] = id + 1;
  if (nodes_.size() * 2 > table_.size()) grow_table();
  return id;
}

void Grammar::grow_table() {
  std::vector<uint32_t> bigger(table_.size() * 2);
  const size_t mask = bigger.size() - 1;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    size_t at = nodes_[i].hash & mask;
    while (bigger[at] != 0) at = (at + 1) & mask;
    bigger[at] = static_cast<uint32_t>(i) + 1;
  }
  table_ = std::move(bigger);
}

RuleId Grammar::add_rule(std::string name) {
  work();
  LM_CHECK(rules_.size() < kMaxExprs / 8, ErrorCode::unsupported,
           "constraint: more than {} rules; expected fewer", kMaxExprs / 8);
  rules_.push_back({std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

void Grammar::define(RuleId rule, ExprId body) {
  rules_[rule].body = body;
  rules_[rule].defined = true;
}

ExprId Grammar::bytes(const ByteSet& set) {
  if (set.empty()) return kNothing;
  uint32_t payload[8];
  std::memcpy(payload, set.words.data(), sizeof payload);
  return intern(Kind::bytes, payload, 0, 0);
}

// The length, then the bytes in words.
ExprId Grammar::literal(std::string_view text) {
  if (text.empty()) return kEpsilon;
  if (text.size() == 1) return bytes(ByteSet::one(static_cast<uint8_t>(text[0])));
  std::vector<uint32_t> payload(1 + (text.size() + 3) / 4);
  payload[0] = static_cast<uint32_t>(text.size());
  std::memcpy(payload.data() + 1, text.data(), text.size());
  return intern(Kind::literal, payload, 0, 0);
}

std::string Grammar::literal_text(ExprId e) const {
  const auto w = words(e);
  std::string text(w[0], '\0');
  std::memcpy(text.data(), w.data() + 1, text.size());
  return text;
}

ExprId Grammar::concat(ExprId a, ExprId b) {
  if (a == kNothing || b == kNothing) return kNothing;
  if (a == kEpsilon) return b;
  if (b == kEpsilon) return a;
  // Kept leaning to the right, so that equal languages more often are equal expressions.
  std::vector<ExprId> heads;
  while (nodes_[a].kind == Kind::concat) {
    heads.push_back(words(a)[0]);
    a = words(a)[1];
  }
  heads.push_back(a);
  for (size_t i = heads.size(); i-- > 0;) {
    const Node &x = nodes_[heads[i]], &y = nodes_[b];
    const uint32_t payload[2] = {heads[i], b};
    b = intern(Kind::concat, payload, x.flags | y.flags, std::max<uint32_t>(x.depth + 1u, y.depth));
  }
  return b;
}

ExprId Grammar::concat(std::initializer_list<ExprId> parts) {
  ExprId e = kEpsilon;
  for (auto it = std::rbegin(parts); it != std::rend(parts); ++it) e = concat(*it, e);
  return e;
}

ExprId Grammar::alt(std::vector<ExprId> choices) {
  std::vector<ExprId> flat;
  ByteSet single;
  for (const ExprId c : choices) {
    if (nodes_[c].kind == Kind::alt) {
      const auto w = words(c);
      flat.insert(flat.end(), w.begin(), w.end());
    } else {
      flat.push_back(c);
    }
  }
  std::erase_if(flat, [&](ExprId c) {
    if (nodes_[c].kind == Kind::bytes) {
      ByteSet set;
      std::memcpy(set.words.data(), words(c).data(), 32);
      single |= set;
      return true;
    }
    return c == kNothing;
  });
  if (!single.empty()) flat.push_back(bytes(single));
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (std::find(flat.begin(), flat.end(), kAnything) != flat.end()) return kAnything;
  if (flat.empty()) return kNothing;
  if (flat.size() == 1) return flat[0];
  uint8_t flags = 0;
  uint32_t depth = 0;
  for (const ExprId c : flat) {
    flags |= nodes_[c].flags;
    depth = std::max<uint32_t>(depth, nodes_[c].depth);
  }
  work(flat.size());
  return intern(Kind::alt, flat, flags, depth + 1);
}

ExprId Grammar::both(std::vector<ExprId> parts) {
  std::vector<ExprId> flat;
  for (const ExprId p : parts) {
    if (nodes_[p].kind == Kind::both) {
      const auto w = words(p);
      flat.insert(flat.end(), w.begin(), w.end());
    } else if (p != kAnything) {
      flat.push_back(p);
    }
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (flat.empty()) return kAnything;
  uint32_t depth = 0;
  for (const ExprId p : flat) {
    if (p == kNothing) return kNothing;
    LM_CHECK(is_regular(p), ErrorCode::unsupported,
             "constraint: an intersection of rules; expected one of regular expressions");
    depth = std::max<uint32_t>(depth, nodes_[p].depth);
  }
  if (flat.size() == 1) return flat[0];
  work(flat.size());
  return intern(Kind::both, flat, kHasBoth, depth + 1);
}

ExprId Grammar::negate(ExprId a) {
  if (a == kNothing) return kAnything;
  if (a == kAnything) return kNothing;
  if (nodes_[a].kind == Kind::negate) return words(a)[0];
  LM_CHECK(is_regular(a), ErrorCode::unsupported,
           "constraint: the complement of a rule; expected one of a regular expression");
  const uint32_t payload[1] = {a};
  return intern(Kind::negate, payload, kHasBoth, nodes_[a].depth + 1u);
}

ExprId Grammar::repeat(ExprId a, uint32_t min, uint32_t max) {
  if (max == 0 || a == kEpsilon) return kEpsilon;
  if (a == kNothing) return min == 0 ? kEpsilon : kNothing;
  if (min == 1 && max == 1) return a;
  if (nodes_[a].kind == Kind::repeat && words(a)[1] == 0 && words(a)[2] == kUnbounded) return a;
  const uint32_t payload[3] = {a, min, max};
  return intern(Kind::repeat, payload, nodes_[a].flags, nodes_[a].depth + 1u);
}

ExprId Grammar::call(RuleId rule) {
  const uint32_t payload[1] = {rule};
  return intern(Kind::call, payload, kHasCall, 0);
}

ExprId Grammar::raw_json_string(ExprId text, uint32_t phase, uint32_t value) {
  if (text == kNothing) return kNothing;
  LM_CHECK(is_regular(text), ErrorCode::unsupported,
           "constraint: a string made of rules; expected a regular expression");
  const uint32_t payload[3] = {text, phase, value};
  return intern(Kind::json_string, payload, nodes_[text].flags, nodes_[text].depth + 1u);
}

ExprId Grammar::json_string(ExprId text) {
  return raw_json_string(text, 0, 0);
}

ExprId Grammar::json_string_text(ExprId e) const {
  if (nodes_[e].kind != Kind::json_string || words(e)[1] != 0) return kNothing;
  return words(e)[0];
}

bool Grammar::is_repeat(ExprId e, ExprId a, uint32_t* min, uint32_t* max) const {
  if (e == a || nodes_[e].kind != Kind::repeat || words(e)[0] != a) {
    *min = *max = 1;
    return e == a;
  }
  *min = words(e)[1];
  *max = words(e)[2];
  return true;
}

bool Grammar::is_part(ExprId e, ExprId part) const {
  if (nodes_[e].kind != Kind::both) return false;
  const auto w = words(e);
  return std::find(w.begin(), w.end(), part) != w.end();
}

uint32_t Grammar::add_generator(std::unique_ptr<LazyExpr> generator) {
  generators_.push_back(std::move(generator));
  return static_cast<uint32_t>(generators_.size() - 1);
}

ExprId Grammar::lazy(uint32_t generator, const std::vector<uint32_t>& state) {
  std::vector<uint32_t> payload{generator};
  payload.insert(payload.end(), state.begin(), state.end());
  const uint8_t flags = generators_[generator]->regular() ? kHasLazy : kHasLazy | kHasCall;
  return intern(Kind::lazy, payload, flags, 1);
}

// Two rounds of mixing with different seeds over the kinds and payloads, with the fingerprints of
// children in place of their ids.
std::pair<uint64_t, uint64_t> Grammar::fingerprint(ExprId e) {
  if (const auto known = fingerprints_.find(e); known != fingerprints_.end()) return known->second;
  uint64_t x = 0x243F6A8885A308D3ull ^ static_cast<uint64_t>(nodes_[e].kind) << 56,
           y = 0x13198A2E03707344ull + static_cast<uint64_t>(nodes_[e].kind);
  const auto mix = [&](uint64_t v) {
    x = (x ^ v) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 29;
    y = (y + v) * 0xC2B2AE3D27D4EB4Full;
    y ^= y >> 31;
  };
  const auto child = [&](ExprId c) {
    const auto [a, b] = fingerprint(c);
    mix(a);
    mix(b);
  };
  const std::vector<uint32_t> w(words(e).begin(), words(e).end());
  switch (nodes_[e].kind) {
    case Kind::concat:
      for (ExprId rest = e;;) {
        if (nodes_[rest].kind != Kind::concat) {
          child(rest);
          break;
        }
        child(words(rest)[0]);
        rest = words(rest)[1];
      }
      break;
    case Kind::alt:
    case Kind::both:
    case Kind::negate: {
      // Sorted by fingerprint: ids, and with them the order, differ between grammars.
      std::vector<std::pair<uint64_t, uint64_t>> all;
      for (const ExprId c : w) all.push_back(fingerprint(c));
      std::sort(all.begin(), all.end());
      for (const auto& [a, b] : all) {
        mix(a);
        mix(b);
      }
      break;
    }
    case Kind::repeat:
    case Kind::json_string:
      child(w[0]);
      mix(w[1]);
      mix(w[2]);
      break;
    default:
      for (const uint32_t v : w) mix(v);
  }
  const std::pair<uint64_t, uint64_t> result{x, y};
  fingerprints_.emplace(e, result);
  return result;
}

}  // namespace lm
