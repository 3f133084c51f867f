#include "engine/infer/constrain/schema/members.h"

#include <algorithm>

namespace lm {
namespace {

// State: how many members there are (as far as it matters), then in any order the properties seen,
// a bit each, or in the schema's order the number of the next one.
class Members : public LazyExpr {
 public:
  Members(MembersSpec spec, uint32_t self) : spec_(std::move(spec)), self_(self) {}

  std::vector<uint32_t> first_state() const {
    return std::vector<uint32_t>(spec_.any_order ? 1 + (spec_.properties.size() + 31) / 32 : 2);
  }

  ExprId expand(Grammar& g, std::span<const uint32_t> state) const override {
    const uint32_t count = state[0];
    const uint32_t missing = n_required_left(state);
    std::vector<ExprId> ways;
    // In order, those from the next one to the first that must be there.
    for (uint32_t i = first(state); i < spec_.properties.size(); ++i) {
      const auto& p = spec_.properties[i];
      if (seen(state, i)) continue;
      const uint32_t left = missing - (p.required ? 1 : 0);
      if (usable(g, p) && fits(g, count + 1, left, state, i))
        ways.push_back(member(g, p, taken(state, i)));
      if (!spec_.any_order && p.required) break;
    }
    if (spec_.any_order || missing == 0)
      for (const auto& other : spec_.others) {
        std::vector<uint32_t> next(state.begin(), state.end());
        next[0] = clamp(count + 1);
        if (!spec_.any_order) next[1] = static_cast<uint32_t>(spec_.properties.size());
        if (usable(g, other) && (spec_.max == kUnbounded || count + 1 + missing <= spec_.max))
          ways.push_back(member(g, other, next));
      }
    const ExprId more = g.alt(std::move(ways));
    const ExprId end = missing == 0 && count >= spec_.min ? spec_.close : kNothing;
    if (count == 0) return g.alt({end, more});
    return g.concat(spec_.space, g.alt({end, g.concat(spec_.comma, more)}));
  }

  bool nullable(std::span<const uint32_t>) const override { return false; }

  bool productive(const std::vector<bool>& rules, std::span<const uint32_t> state) const override {
    uint32_t possible = state[0], missing = 0;
    for (uint32_t i = first(state); i < spec_.properties.size(); ++i) {
      const auto& p = spec_.properties[i];
      if (seen(state, i)) continue;
      if (p.required && !rules[p.value]) return false;
      missing += p.required;
      possible += rules[p.value];
    }
    if (spec_.max != kUnbounded && state[0] + missing > spec_.max) return false;
    const bool open = std::any_of(spec_.others.begin(), spec_.others.end(),
                                  [&](const auto& o) { return rules[o.value]; });
    return open || possible >= spec_.min;
  }
  bool regular() const override { return false; }

 private:
  bool seen(std::span<const uint32_t> state, uint32_t i) const {
    return spec_.any_order && (state[1 + i / 32] >> (i % 32) & 1) != 0;
  }
  uint32_t first(std::span<const uint32_t> state) const { return spec_.any_order ? 0 : state[1]; }
  std::vector<uint32_t> taken(std::span<const uint32_t> state, uint32_t i) const {
    std::vector<uint32_t> next(state.begin(), state.end());
    next[0] = clamp(state[0] + 1);
    if (spec_.any_order) {
      next[1 + i / 32] |= 1u << (i % 32);
    } else {
      next[1] = i + 1;
    }
    return next;
  }
  uint32_t clamp(uint32_t count) const {
    return spec_.max == kUnbounded ? std::min(count, std::max(spec_.min, 1u)) : count;
  }
  uint32_t n_required_left(std::span<const uint32_t> state) const {
    uint32_t n = 0;
    for (uint32_t i = first(state); i < spec_.properties.size(); ++i)
      n += spec_.properties[i].required && !seen(state, i);
    return n;
  }
  static bool usable(Grammar& g, const MembersSpec::Member& m) {
    return g.productive(g.call(m.value)) && g.productive(m.key);
  }
  // Whether the counts can still come out right once property i is there.
  bool fits(Grammar& g, uint32_t count, uint32_t left, std::span<const uint32_t> state,
            uint32_t i) const {
    if (spec_.max != kUnbounded && count + left > spec_.max) return false;
    if (count >= spec_.min) return true;
    for (const auto& other : spec_.others)
      if (usable(g, other)) return true;
    uint32_t possible = count;
    for (uint32_t k = spec_.any_order ? 0 : i + 1; k < spec_.properties.size(); ++k)
      possible += k != i && !seen(state, k) && usable(g, spec_.properties[k]);
    return possible >= spec_.min;
  }
  ExprId member(Grammar& g, const MembersSpec::Member& m, const std::vector<uint32_t>& next) const {
    return g.concat({m.key, spec_.colon, g.call(m.value), g.lazy(self_, next)});
  }

  MembersSpec spec_;
  uint32_t self_;
};

}  // namespace

ExprId members_expression(Grammar& g, MembersSpec spec) {
  const uint32_t self = g.next_generator();
  auto members = std::make_unique<Members>(std::move(spec), self);
  const auto state = members->first_state();
  g.add_generator(std::move(members));
  return g.lazy(self, state);
}

}  // namespace lm
