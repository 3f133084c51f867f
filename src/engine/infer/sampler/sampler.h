// Choosing the next token. A chain of small steps over the candidates; adding one:
// sampler/<name>.cpp and a line in sampler_list.inc, in the place where it acts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/api/generate.h"
#include "engine/core/rng.h"

namespace lm {

struct Candidate {
  int32_t id;
  float logit;
};

// What the steps work on. `all` starts as the whole vocabulary in id order; steps may drop and
// reorder candidates.
struct Candidates {
  std::vector<Candidate> all;
  bool sorted = false;  // by falling logit, ties by rising id
  void sort();
  // Keeps the k best, sorted. Cheaper than sort() for small k.
  void keep_best(size_t k);
};

// One step of the chain. It does nothing when its options are at their neutral values.
struct SamplerStep {
  const char* name;
  bool (*active)(const SamplingOptions&);
  void (*apply)(const SamplingOptions&, std::span<const int32_t> context, Candidates&);
};

class Sampler {
 public:
  // Throws bad_option for values out of range.
  explicit Sampler(const SamplingOptions& options);
  // context: all tokens before the one to choose.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> context);
  uint64_t seed() const { return seed_; }
  static std::vector<const SamplerStep*> steps();

 private:
  SamplingOptions options_;
  uint64_t seed_;
  Rng rng_;
  Candidates candidates_;
};

}  // namespace lm
