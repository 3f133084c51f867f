#include "engine/infer/constrain/schema/decimal.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace lm {

Decimal Decimal::of(const nlohmann::ordered_json& number) {
  return parse(number.dump());
}

Decimal Decimal::parse(const std::string& text) {
  Decimal d;
  size_t i = 0;
  if (i < text.size() && text[i] == '-') d.negative = true, ++i;
  bool point = false;
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      point = true;
    } else {
      d.digits += text[i];
      if (!point) ++d.exponent;
    }
  }
  if (i < text.size()) {
    long exponent = std::strtol(text.c_str() + i + 1, nullptr, 10);
    d.exponent += static_cast<int>(std::clamp(exponent, -100000L, 100000L));
  }
  const size_t first = std::min(d.digits.find_first_not_of('0'), d.digits.size());
  d.digits.erase(0, first);
  d.exponent -= static_cast<int>(first);
  while (!d.digits.empty() && d.digits.back() == '0') d.digits.pop_back();
  if (d.digits.empty()) d = Decimal{};
  return d;
}

int Decimal::compare(const Decimal& o) const {
  if (is_zero() || o.is_zero()) {
    if (is_zero() && o.is_zero()) return 0;
    return is_zero() ? (o.negative ? 1 : -1) : (negative ? -1 : 1);
  }
  if (negative != o.negative) return negative ? -1 : 1;
  const int sign = negative ? -1 : 1;
  if (exponent != o.exponent) return exponent < o.exponent ? -sign : sign;
  const int order = digits.compare(o.digits);
  return order == 0 ? 0 : order < 0 ? -sign : sign;
}

// Both as integers of the smaller unit, by long division.
bool Decimal::is_multiple_of(const Decimal& step) const {
  if (is_zero()) return true;
  if (step.is_zero() || step.digits.size() > 18) return false;
  const int unit = step.exponent - static_cast<int>(step.digits.size());  // step = p * 10^unit
  const int mine = exponent - static_cast<int>(digits.size());
  const auto p = static_cast<uint64_t>(std::stoull(step.digits));
  if (mine < unit) return false;  // p has no trailing zero, so that finer digits are never reached
  if (mine - unit > 100000) return false;
  uint64_t r = 0;
  for (const char c : digits)
    r = static_cast<uint64_t>(
        (static_cast<unsigned __int128>(r) * 10 + static_cast<unsigned>(c - '0')) % p);
  for (int i = unit; i < mine && r != 0; ++i)
    r = static_cast<uint64_t>(static_cast<unsigned __int128>(r) * 10 % p);
  return r == 0;
}

std::string Decimal::whole() const {
  if (is_zero() || exponent <= 0) return "0";
  std::string out = digits.substr(0, static_cast<size_t>(exponent));
  out.resize(static_cast<size_t>(exponent), '0');
  return out;
}

std::string Decimal::fraction() const {
  if (is_zero()) return "";
  if (exponent <= 0) return std::string(static_cast<size_t>(-exponent), '0') + digits;
  return static_cast<size_t>(exponent) >= digits.size()
             ? ""
             : digits.substr(static_cast<size_t>(exponent));
}

}  // namespace lm
