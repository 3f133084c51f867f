// Do not repeat yourself: a token that would continue a sequence of L tokens which occurred before
// is the less likely the longer that sequence is.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.dry_multiplier > 0 && o.dry_base >= 1;
}

// Tokens since the last sequence breaker: no repeat reaches across it. Of breakers that begin at
// the same token the longest counts.
size_t repeat_limit(std::span<const int32_t> tokens,
                    const std::vector<std::vector<int32_t>>& breakers) {
  for (size_t start = tokens.size(); start-- > 0;) {
    const auto rest = tokens.subspan(start);
    size_t longest = 0;
    for (const auto& breaker : breakers)
      if (breaker.size() <= rest.size() && std::equal(breaker.begin(), breaker.end(), rest.begin()))
        longest = std::max(longest, breaker.size());
    if (longest > 0) return rest.size() - longest;
  }
  return tokens.size();
}

// A token that breaks sequences is never penalised itself.
bool is_breaker(int32_t id, const std::vector<std::vector<int32_t>>& breakers) {
  return std::any_of(breakers.begin(), breakers.end(),
                     [&](const auto& b) { return b.size() == 1 && b[0] == id; });
}

// z[i]: how many of the last tokens stand also before position size - i; the Z algorithm backwards,
// linear in the number of tokens.
std::vector<size_t> suffix_matches(std::span<const int32_t> tokens) {
  const size_t n = tokens.size();
  const auto back = [&](size_t i) { return tokens[n - 1 - i]; };
  std::vector<size_t> z(n, 0);
  for (size_t i = 1, left = 0, right = 0; i < n; ++i) {
    if (i < right) z[i] = std::min(right - i, z[i - left]);
    while (i + z[i] < n && back(z[i]) == back(i + z[i])) ++z[i];
    if (i + z[i] > right) {
      left = i;
      right = i + z[i];
    }
  }
  return z;
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  auto tokens = in.context;
  if (o.dry_penalty_last_n >= 0)
    tokens = tokens.last(std::min(tokens.size(), static_cast<size_t>(o.dry_penalty_last_n)));
  const auto allowed = static_cast<size_t>(o.dry_allowed_length);
  const size_t limit = repeat_limit(tokens, o.dry_breaker_ids);
  if (tokens.size() <= allowed || limit < allowed) return;

  std::unordered_map<int32_t, size_t> repeats;  // next token -> longest sequence it would continue
  const auto z = suffix_matches(tokens);
  for (size_t i = 1; i < z.size(); ++i) {
    const size_t length = std::min(z[i], limit);
    if (length < allowed) continue;
    size_t& longest = repeats[tokens[tokens.size() - i]];
    longest = std::max(longest, length);
  }
  // A larger exponent would overflow a float.
  const double most = o.dry_base > 1.000001
                          ? std::log(std::numeric_limits<float>::max()) / std::log(o.dry_base)
                          : 1e9;
  for (const auto& [id, length] : repeats) {
    if (is_breaker(id, o.dry_breaker_ids)) continue;
    const double exponent = std::min(static_cast<double>(length - allowed), most);
    c.add(id, static_cast<float>(-o.dry_multiplier * std::pow(o.dry_base, exponent)));
  }
}

}  // namespace

extern const SamplerKind kSampler_dry;
const SamplerKind kSampler_dry = {
    "dry",
    SamplerRole::edit,
    "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers",
    "z_i - multiplier * base^(L - allowed) where i continues a repeat of L >= allowed tokens",
    "text-generation-webui pull request 5677; llama.cpp",
    active,
    stateless<apply>};

}  // namespace lm
