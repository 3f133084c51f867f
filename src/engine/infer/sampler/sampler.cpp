#include "engine/infer/sampler/sampler.h"

#include <random>

#include "engine/core/error.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {
namespace {

void check_range(const char* name, double value, double least, double most) {
  LM_CHECK(value >= least && value <= most, ErrorCode::bad_option,
           "{} is {}; expected a number in [{}, {}]", name, value, least, most);
}

void check(const SamplingOptions& o) {
#define LM_OPTION_NUMBER(name, value, least, most, doc) check_range(#name, o.name, least, most);
#define LM_OPTION_INTEGER(name, value, least, most, doc) \
  check_range(#name, static_cast<double>(o.name), least, most);
#define LM_OPTION_BOOLEAN(name, value, doc)
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
}

uint64_t choose_seed(int64_t seed) {
  if (seed >= 0) return static_cast<uint64_t>(seed);
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 21) ^ device();  // below 2^53: exact as a Lua number
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, SamplerSetup setup)
    : options_(options), setup_(std::move(setup)), seed_(choose_seed(options.seed)), rng_(seed_) {
  check(options_);
  for (const SamplerKind* kind : sampler_chain(options_))
    steps_.push_back(kind->make(options_, setup_));
}

const Candidates& Sampler::candidates(std::span<const float> logits,
                                      std::span<const int32_t> context) {
  candidates_.reset(logits);
  const SampleInput in{context, setup_.n_prompt, &rng_};
  for (const auto& step : steps_) step->apply(in, candidates_);
  return candidates_;
}

// One draw from the softmax over what is left. The candidates' order depends on nothing but the
// logits.
int32_t Sampler::draw(double* probability) {
  const auto& c = candidates_.all;
  const double total = candidates_.weigh(candidates_.top());
  const auto& weights = candidates_.weights();
  double left = rng_.uniform() * total;
  size_t chosen = 0;
  for (size_t i = 0; i < c.size(); ++i) {
    if (weights[i] > 0) chosen = i;  // the last possible one, where rounding leaves something over
    left -= static_cast<double>(weights[i]);
    if (left < 0) break;
  }
  *probability = static_cast<double>(weights[chosen]) / total;
  return c[chosen].id;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> context) {
  const bool greedy = options_.temperature <= 0;
  if (greedy && steps_.empty())
    return static_cast<int32_t>(
        kernels().argmax(logits.data(), static_cast<int64_t>(logits.size())));
  candidates(logits, context);
  if (greedy) {
    candidates_.top();  // throws when nothing is left
    return std::min_element(candidates_.all.begin(), candidates_.all.end(), more_likely)->id;
  }
  double probability = 0;
  const int32_t id = draw(&probability);
  for (const auto& step : steps_) step->accept(id, probability);
  return id;
}

}  // namespace lm
