// Exact decimal numbers, as JSON writes them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lm {

struct Decimal {
  bool negative = false;
  std::string digits;  // without leading and trailing zeros; "" is zero
  int exponent = 0;    // value = 0.digits * 10^exponent

  // Of a JSON number: integers exactly, others by their shortest decimal form.
  static Decimal of(const nlohmann::ordered_json& number);
  // Of text like -12.5e3; the exponent is held within +-100000.
  static Decimal parse(const std::string& text);

  bool is_zero() const { return digits.empty(); }
  int compare(const Decimal& o) const;  // -1, 0, 1
  bool is_multiple_of(const Decimal& step) const;
  // The digits before and behind the point; "0" where there are none before it.
  std::string whole() const;
  std::string fraction() const;
};

}  // namespace lm
