#include "engine/infer/constrain/schema/numbers.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/decimal.h"

namespace lm {
namespace {

// Digits with at most one point among them whose number is a multiple of p / 10^q. State: digits
// behind the point plus 1 (0: before it), the remainder so far.
class Multiples : public LazyExpr {
 public:
  Multiples(uint64_t p, uint32_t q, uint32_t self) : p_(p), q_(q), self_(self) {}

  ExprId expand(Grammar& g, std::span<const uint32_t> state) const override {
    const uint32_t behind = state[0];
    const uint64_t r = state[1];
    std::vector<ExprId> ways;
    if (nullable(state)) ways.push_back(kEpsilon);
    if (behind == 0) ways.push_back(g.concat(g.literal("."), g.lazy(self_, {1, state[1]})));
    for (uint32_t digit = 0; digit < 10; ++digit) {
      std::vector<uint32_t> next{behind, state[1]};
      if (behind > q_) {  // finer than the step: zeros only
        if (digit != 0) continue;
      } else {
        next = {behind == 0 ? 0 : behind + 1, static_cast<uint32_t>((r * 10 + digit) % p_)};
      }
      ways.push_back(
          g.concat(g.bytes(ByteSet::one(static_cast<uint8_t>('0' + digit))), g.lazy(self_, next)));
    }
    return g.alt(std::move(ways));
  }
  bool nullable(std::span<const uint32_t> state) const override {
    uint64_t r = state[1];
    for (uint32_t i = state[0] == 0 ? 0 : state[0] - 1; i < q_ && r != 0; ++i) r = r * 10 % p_;
    return r == 0;
  }
  bool productive(const std::vector<bool>&, std::span<const uint32_t>) const override {
    return true;  // more digits can always bring the remainder to zero, but for p and 10 see below
  }
  bool regular() const override { return true; }

 private:
  uint64_t p_;
  uint32_t q_, self_;
};

class Numbers {
 public:
  explicit Numbers(Grammar& g) : g_(g), digit_(g.bytes(ByteSet::range('0', '9'))) {
    digits_ = g_.repeat(digit_, 0, kUnbounded);
    whole_ = g_.alt({g_.literal("0"), g_.concat(g_.bytes(ByteSet::range('1', '9')), digits_)});
    fraction_ = g_.concat(g_.literal("."), g_.repeat(digit_, 1, kUnbounded));
    ByteSet e, sign;
    e.add('e'), e.add('E');
    sign.add('+'), sign.add('-');
    // Larger ones would be JSON, but no number that a program can hold.
    exponent_ = g_.concat({g_.bytes(e), g_.optional(g_.bytes(sign)), g_.repeat(digit_, 1, 2)});
    plain_ = g_.concat(whole_, g_.optional(fraction_));
    minus_ = g_.literal("-");
  }

  ExprId any_integer() { return g_.concat(g_.optional(minus_), whole_); }
  ExprId any_plain() { return g_.concat(g_.optional(minus_), plain_); }
  ExprId any() { return g_.concat(any_plain(), g_.optional(exponent_)); }
  // Digits that mean an integer, with the zeros that may stand behind the point.
  ExprId whole_value() {
    return g_.concat(
        {g_.optional(minus_), whole_,
         g_.optional(g_.concat(g_.literal("."), g_.repeat(g_.literal("0"), 1, kUnbounded)))});
  }

  ExprId bound(const Decimal& limit, bool lower, bool strict) {
    if (limit.is_zero()) return sign_bound(lower, strict);
    // x >= -a is x >= 0 or -x <= a.
    const bool same_side =
        limit.negative != lower;              // the bound cuts the side it lies on from below
    const ExprId far = above(limit, strict);  // magnitudes beyond the limit
    const ExprId near = g_.both({plain_, g_.negate(above(limit, !strict))});
    const ExprId with_minus = g_.concat(minus_, same_side ? (lower ? kNothing : plain_) : near);
    if (same_side && lower) return far;                // x >= a > 0
    if (same_side) return g_.concat(minus_, far);      // x <= -a < 0
    if (lower) return g_.alt({plain_, with_minus});    // x >= -a
    return g_.alt({near, g_.concat(minus_, plain_)});  // x <= a
  }

 private:
  ExprId sign_bound(bool lower, bool strict) {
    const ExprId any = g_.concat(plain_, g_.optional(exponent_));
    const ExprId zero = g_.concat(
        {g_.literal("0"),
         g_.optional(g_.concat(g_.literal("."), g_.repeat(g_.literal("0"), 1, kUnbounded))),
         g_.optional(exponent_)});
    const ExprId positive = g_.both({any, g_.negate(zero)});
    const ExprId minus_zero = g_.concat(minus_, zero);
    if (lower) return strict ? positive : g_.alt({any, minus_zero});
    const ExprId negative = g_.concat(minus_, positive);
    return strict ? negative : g_.alt({negative, zero, minus_zero});
  }

  ExprId digit_above(char d) {
    return d >= '9'
               ? kNothing
               : g_.bytes(ByteSet::range(static_cast<uint8_t>(d + 1), static_cast<uint8_t>('9')));
  }
  ExprId n_digits(size_t n) {
    return g_.repeat(digit_, static_cast<uint32_t>(n), static_cast<uint32_t>(n));
  }

  // Numbers without sign and exponent whose value is above (or equal to, unless strict) |limit|.
  ExprId above(const Decimal& limit, bool strict) {
    const std::string whole = limit.whole(), fraction = limit.fraction();
    LM_CHECK(whole.size() + fraction.size() <= 400, ErrorCode::unsupported,
             "#: a bound of {} digits; expected at most 400", whole.size() + fraction.size());
    const ExprId tail = g_.optional(fraction_);
    const auto n = static_cast<uint32_t>(whole.size());
    std::vector<ExprId> ways{
        g_.concat({g_.bytes(ByteSet::range('1', '9')), g_.repeat(digit_, n, kUnbounded), tail})};
    for (size_t k = 0; k < whole.size(); ++k)
      ways.push_back(g_.concat({g_.literal(whole.substr(0, k)), digit_above(whole[k]),
                                n_digits(whole.size() - k - 1), tail}));
    std::vector<ExprId> ends;  // behind the same whole part
    const ExprId some = g_.concat({digits_, g_.bytes(ByteSet::range('1', '9')), digits_});
    for (size_t k = 0; k < fraction.size(); ++k)
      ends.push_back(
          g_.concat({g_.literal("." + fraction.substr(0, k)), digit_above(fraction[k]), digits_}));
    const ExprId same = g_.literal(fraction.empty() ? "" : "." + fraction);
    if (strict) {
      ends.push_back(fraction.empty() ? g_.concat(g_.literal("."), some) : g_.concat(same, some));
    } else {
      ends.push_back(fraction.empty() ? tail : g_.concat(same, digits_));
    }
    ways.push_back(g_.concat(g_.literal(whole), g_.alt(std::move(ends))));
    return g_.both({plain_, g_.alt(std::move(ways))});
  }

  Grammar& g_;
  ExprId digit_, digits_, whole_, fraction_, exponent_, plain_, minus_;
};

ExprId multiples(Grammar& g, const Json& step) {
  const Decimal d = Decimal::of(step);
  LM_CHECK(!d.is_zero() && !d.negative, ErrorCode::bad_option,
           "multipleOf: {}; expected a number above 0", step.dump());
  const std::string fraction = d.fraction();
  const std::string digits = d.whole() + fraction;
  LM_CHECK(digits.size() <= 10, ErrorCode::unsupported, "multipleOf: {}; expected at most 9 digits",
           step.dump());
  const auto self = g.next_generator();
  g.add_generator(std::make_unique<Multiples>(std::stoull(digits),
                                              static_cast<uint32_t>(fraction.size()), self));
  return g.concat(g.optional(g.literal("-")), g.lazy(self, {0, 0}));
}

}  // namespace

ExprId number_expression(Grammar& g, const Facets& f) {
  Numbers numbers(g);
  std::vector<ExprId> parts;
  const uint32_t kinds = f.types & kNumberType;
  if (kinds == kIntegerType) parts.push_back(numbers.any_integer());
  if (kinds == kNumberType) parts.push_back(numbers.any());
  if (kinds == kFractionType) {
    parts.push_back(numbers.any_plain());
    parts.push_back(g.negate(numbers.whole_value()));
  }
  for (const Facets::Bound& b : f.bounds)
    parts.push_back(numbers.bound(Decimal::of(*b.value), b.lower, b.strict));
  for (const Json* step : f.multiples) parts.push_back(multiples(g, *step));
  for (const Json* step : f.not_multiples) {
    parts.push_back(numbers.any_plain());
    parts.push_back(g.negate(multiples(g, *step)));
  }
  const auto exclude = [&](const Json& value) {
    if (!value.is_number()) return;
    const Decimal d = Decimal::of(value);
    std::string text = d.negative ? "-" : "";
    text += d.whole();
    const ExprId zeros = g.repeat(g.literal("0"), 0, kUnbounded);
    const std::string fraction = d.fraction();
    const ExprId same =
        fraction.empty() ? g.concat(g.literal(text), g.optional(g.concat(g.literal(".0"), zeros)))
                         : g.concat(g.literal(text + "." + fraction), zeros);
    parts.push_back(numbers.any_plain());
    parts.push_back(g.negate(d.is_zero() ? g.alt({same, g.concat(g.literal("-"), same)}) : same));
  };
  for (const auto& [node, single] : f.excluded) {
    if (single) {
      exclude(*node);
    } else {
      for (const Json& value : *node) exclude(value);
    }
  }
  return g.both(std::move(parts));
}

}  // namespace lm
