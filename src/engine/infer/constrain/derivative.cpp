// What may follow in an expression: bytes, calls, the end.
#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/infer/constrain/grammar.h"

namespace lm {
namespace {

uint32_t one_less(uint32_t n) {
  return n == 0 || n == kUnbounded ? n : n - 1;
}

// The classes of bytes that no set tells apart.
std::vector<ByteSet> partition(const std::vector<ByteSet>& sets, const ByteSet& singles) {
  std::vector<ByteSet> classes{~singles};
  for (const ByteSet& set : sets)
    for (size_t i = 0, n = classes.size(); i < n; ++i) {
      ByteSet inside = classes[i], outside = classes[i];
      inside &= set;
      outside &= ~set;
      if (inside.empty() || outside.empty()) continue;
      classes[i] = outside;
      classes.push_back(inside);
    }
  if (classes[0].empty()) classes.clear();
  singles.each([&](uint8_t b) { classes.push_back(ByteSet::one(b)); });
  return classes;
}

}  // namespace

bool Grammar::nullable(ExprId e) {
  if (finished_ || is_regular(e)) {
    if (nullable_[e] < 0) nullable_[e] = find_nullable(e) ? 1 : 0;
    return nullable_[e] != 0;
  }
  return find_nullable(e);
}

bool Grammar::find_nullable(ExprId e) {
  switch (nodes_[e].kind) {
    case Kind::epsilon:
    case Kind::anything:
      return true;
    case Kind::concat:
      while (nodes_[e].kind == Kind::concat) {
        if (!nullable(words(e)[0])) return false;
        e = words(e)[1];
      }
      return nullable(e);
    case Kind::alt:
    case Kind::both: {
      const bool any = nodes_[e].kind == Kind::alt;
      for (uint32_t i = 0; i < nodes_[e].count; ++i)
        if (nullable(words(e)[i]) == any) return any;
      return !any;
    }
    case Kind::negate:
      return !nullable(words(e)[0]);
    case Kind::repeat:
      return words(e)[1] == 0 || nullable(words(e)[0]);
    case Kind::call:
      return rules_[words(e)[0]].nullable;
    case Kind::lazy:
      return generators_[words(e)[0]]->nullable(words(e).subspan(1));
    default:
      return false;
  }
}

ExprId Grammar::expansion(ExprId e) {
  if (const auto known = expansions_.find(e); known != expansions_.end()) return known->second;
  const std::vector<uint32_t> w(words(e).begin(), words(e).end());
  const ExprId expanded = generators_[w[0]]->expand(*this, std::span(w).subspan(1));
  expansions_.emplace(e, expanded);
  return expanded;
}

void Grammar::first_sets(ExprId e, std::vector<ByteSet>& sets, ByteSet& singles) {
  const auto add = [&](const ByteSet& set) {
    if (set.count() == 1) {
      singles |= set;
    } else if (std::find(sets.begin(), sets.end(), set) == sets.end()) {
      sets.push_back(set);
    }
  };
  work();
  switch (nodes_[e].kind) {
    case Kind::bytes: {
      ByteSet set;
      std::memcpy(set.words.data(), words(e).data(), 32);
      add(set);
      return;
    }
    case Kind::literal:
      singles.add(static_cast<uint8_t>(words(e)[1] & 0xFF));
      return;
    case Kind::concat:
      for (; nodes_[e].kind == Kind::concat; e = words(e)[1]) {
        first_sets(words(e)[0], sets, singles);
        if (!nullable(words(e)[0])) return;
      }
      first_sets(e, sets, singles);
      return;
    case Kind::alt:
    case Kind::both:
      for (uint32_t i = 0; i < nodes_[e].count; ++i) first_sets(words(e)[i], sets, singles);
      return;
    case Kind::negate:
    case Kind::repeat:
      first_sets(words(e)[0], sets, singles);
      return;
    case Kind::json_string: {
      const uint32_t phase = words(e)[1];
      const char* expected = phase == 0   ? "\"\\"
                             : phase == 1 ? "\"\\/bfnrtu"
                             : phase == 6 ? "\\"
                             : phase == 7 ? "u"
                                          : "0123456789abcdefABCDEF";
      if (phase == 0) {
        first_sets(words(e)[0], sets, singles);
        add(ByteSet::range(0, 0x1F));
      }
      for (; *expected != 0; ++expected) singles.add(static_cast<uint8_t>(*expected));
      return;
    }
    case Kind::lazy:
      first_sets(expansion(e), sets, singles);
      return;
    default:
      return;
  }
}

ExprId Grammar::derive(ExprId e, uint8_t b) {
  work();
  switch (nodes_[e].kind) {
    case Kind::anything:
      return kAnything;
    case Kind::bytes:
      return (words(e)[b >> 5] >> (b & 31) & 1) != 0 ? kEpsilon : kNothing;
    case Kind::literal: {
      if ((words(e)[1] & 0xFF) != b) return kNothing;
      return literal(std::string_view(literal_text(e)).substr(1));
    }
    case Kind::concat:
      return derive_concat(e, b);
    case Kind::alt:
    case Kind::both: {
      const bool any = nodes_[e].kind == Kind::alt;
      std::vector<ExprId> parts;
      for (uint32_t i = 0; i < nodes_[e].count; ++i) {
        const ExprId part = words(e)[i];
        // Parts of intersections come up in many of them: their rows are kept.
        const bool keep = !any || (nodes_[part].flags & kHasBoth) != 0;
        const ExprId d = keep ? raw_row(part).at(b) : derive(part, b);
        if (d != kNothing) {
          parts.push_back(d);
        } else if (!any) {
          return kNothing;
        }
      }
      return any ? alt(std::move(parts)) : both(std::move(parts));
    }
    case Kind::negate:
      return negate(derive(words(e)[0], b));
    case Kind::repeat: {
      const ExprId a = words(e)[0];
      const uint32_t min = words(e)[1], max = words(e)[2];
      const ExprId d = derive(a, b);
      return d == kNothing ? kNothing : concat(d, repeat(a, one_less(min), one_less(max)));
    }
    case Kind::json_string:
      return derive_json_string(e, b);
    case Kind::lazy:
      return derive(expansion(e), b);
    default:
      return kNothing;  // a call begins with no byte of its own
  }
}

ExprId Grammar::derive_concat(ExprId e, uint8_t b) {
  std::vector<ExprId> ways;
  while (nodes_[e].kind == Kind::concat) {
    const ExprId head = words(e)[0], rest = words(e)[1];
    const ExprId d = derive(head, b);
    if (d != kNothing) ways.push_back(concat(d, rest));
    if (!nullable(head)) return alt(std::move(ways));
    e = rest;
  }
  ways.push_back(derive(e, b));
  return alt(std::move(ways));
}

Grammar::Row& Grammar::raw_row(ExprId e) {
  if (rows_[e]) return *rows_[e];
  auto row = std::make_unique<Row>();
  std::vector<ByteSet> sets;
  ByteSet singles;
  first_sets(e, sets, singles);
  row->sets = partition(sets, singles);
  for (size_t c = 0; c < row->sets.size(); ++c) {
    row->sets[c].each([&](uint8_t b) { row->classes[b] = static_cast<uint8_t>(c); });
    row->next.push_back(derive(e, row->sets[c].first()));
    if (row->next[c] != kNothing) row->live |= row->sets[c];
  }
  work(row->next.size());
  rows_[e] = std::move(row);
  return *rows_[e];
}

const Grammar::Row& Grammar::row(ExprId e) {
  Row& row = raw_row(e);
  if (row.checked) return row;
  for (size_t c = 0; c < row.next.size(); ++c) {
    if (row.next[c] == kNothing || productive(row.next[c])) continue;
    row.next[c] = kNothing;
    row.live &= ~row.sets[c];
  }
  row.checked = true;
  return row;
}

bool Grammar::matches(ExprId e, std::string_view text) {
  for (size_t i = 0; i < text.size() && e != kNothing; ++i)
    e = raw_row(e).at(static_cast<uint8_t>(text[i]));
  return nullable(e);
}

bool Grammar::productive(ExprId e) {
  const bool final = finished_ || is_regular(e);
  if (productive_[e] >= 0 && (final || productive_[e] != 0)) return productive_[e] != 0;
  const bool found = find_productive(e);
  // Before finish() has ended, more rules may turn out to be productive.
  productive_[e] = found ? 1 : 0;
  return found;
}

bool Grammar::find_productive(ExprId e) {
  switch (nodes_[e].kind) {
    case Kind::nothing:
      return false;
    case Kind::concat:
      for (; nodes_[e].kind == Kind::concat; e = words(e)[1])
        if (!productive(words(e)[0])) return false;
      return productive(e);
    case Kind::alt:
      for (uint32_t i = 0; i < nodes_[e].count; ++i)
        if (productive(words(e)[i])) return true;
      return false;
    case Kind::both:
    case Kind::negate:
      return search_productive(e);
    case Kind::repeat:
      return words(e)[1] == 0 || productive(words(e)[0]);
    case Kind::call:
      return productive_rules_[words(e)[0]];
    case Kind::json_string:
      return words(e)[1] == 0 ? productive(words(e)[0]) : escape_productive(e);
    case Kind::lazy:
      return generators_[words(e)[0]]->productive(productive_rules_, words(e).subspan(1));
    default:
      return true;
  }
}

// Breadth first through the states of an intersection or complement, to one that may end.
bool Grammar::search_productive(ExprId e) {
  std::vector<ExprId> queue{e};
  std::unordered_map<ExprId, ExprId> parent{{e, kNothing}};
  for (size_t i = 0; i < queue.size(); ++i) {
    const ExprId state = queue[i];
    const Kind k = nodes_[state].kind;
    const bool open = k == Kind::both || k == Kind::negate;
    const bool ends = productive_[state] == 1 || nullable(state) || (!open && productive(state));
    if (ends) {
      for (ExprId p = state; p != kNothing; p = parent[p]) productive_[p] = 1;
      return true;
    }
    if (!open || productive_[state] == 0) continue;
    for (const ExprId next : std::vector<ExprId>(raw_row(state).next))
      if (next != kNothing && parent.emplace(next, state).second) queue.push_back(next);
    work(8);
  }
  for (const ExprId state : queue) productive_[state] = 0;
  return false;
}

const std::vector<Grammar::CallStep>& Grammar::calls(ExprId e) {
  static const std::vector<CallStep> kNone;
  if (is_regular(e)) return kNone;
  if (const auto known = calls_.find(e); known != calls_.end()) return known->second;
  std::vector<CallStep> found;
  find_calls(e, found);
  std::erase_if(
      found, [&](const CallStep& c) { return !productive_rules_[c.rule] || !productive(c.rest); });
  return calls_.emplace(e, std::move(found)).first->second;
}

void Grammar::find_calls(ExprId e, std::vector<CallStep>& out) {
  if (is_regular(e)) return;
  work();
  switch (nodes_[e].kind) {
    case Kind::call:
      out.push_back({words(e)[0], kEpsilon});
      return;
    case Kind::concat:
      while (nodes_[e].kind == Kind::concat) {
        const ExprId head = words(e)[0], rest = words(e)[1];
        const size_t begin = out.size();
        find_calls(head, out);
        for (size_t i = begin; i < out.size(); ++i) out[i].rest = concat(out[i].rest, rest);
        if (!nullable(head)) return;
        e = rest;
      }
      find_calls(e, out);
      return;
    case Kind::alt:
      for (uint32_t i = 0; i < nodes_[e].count; ++i) find_calls(words(e)[i], out);
      return;
    case Kind::repeat: {
      const ExprId a = words(e)[0];
      const ExprId rest = repeat(a, one_less(words(e)[1]), one_less(words(e)[2]));
      const size_t begin = out.size();
      find_calls(a, out);
      for (size_t i = begin; i < out.size(); ++i) out[i].rest = concat(out[i].rest, rest);
      return;
    }
    case Kind::lazy:
      find_calls(expansion(e), out);
      return;
    default:
      return;
  }
}

}  // namespace lm
