// Choosing the next token: a chain of small steps over the candidates, then one draw. Adding a
// sampler: sampler/<name>.cpp, a line in sampler_list.inc and its place in sampler_orders.cpp;
// numeric options are lines of api/sampling_options.inc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/api/sampling.h"
#include "engine/core/rng.h"
#include "engine/infer/sampler/candidates.h"

namespace lm {

// What a step may know besides the candidates.
struct SampleInput {
  std::span<const int32_t> context;  // all tokens before the one to choose
  size_t n_prompt = 0;               // how many of them are the prompt
  Rng* rng = nullptr;                // the request's own

  std::span<const int32_t> produced() const {
    return context.subspan(std::min(n_prompt, context.size()));
  }
};

// Facts of the model and request that steps are made with.
struct SamplerSetup {
  int64_t vocab_size = 0;
  size_t n_prompt = 0;
  std::vector<int32_t> stop_ids;  // tokens that end the generation
};

class SamplerStep {
 public:
  virtual ~SamplerStep() = default;
  virtual void apply(const SampleInput&, Candidates&) = 0;
  // The token that was drawn and its probability among the candidates that were left.
  virtual void accept(int32_t, double) {}
};

enum class SamplerRole {
  mask,      // forbids or biases tokens; acts in greedy decoding too, and first if not named
  edit,      // changes logits by what was said so far; acts in greedy decoding too
  scale,     // makes the distribution flatter or steeper
  truncate,  // drops candidates; Mirostat replaces these
  choose,    // shapes the final draw; last in the chain
};

struct SamplerKind {
  const char* name;
  SamplerRole role;
  const char* options;  // names of its options, separated by spaces
  const char* rule;     // z logits, p = softmax(z): what it does, for the reference
  const char* source;   // paper or program that defines it
  // False while the options are at their neutral values: then there is no step.
  bool (*active)(const SamplingOptions&);
  // The step may keep references to its arguments, which outlive it.
  std::unique_ptr<SamplerStep> (*make)(const SamplingOptions&, const SamplerSetup&);
};

// `make` of a sampler that remembers nothing: a function of options, input and candidates.
template <void (*Apply)(const SamplingOptions&, const SampleInput&, Candidates&)>
std::unique_ptr<SamplerStep> stateless(const SamplingOptions& options, const SamplerSetup&) {
  struct Step : SamplerStep {
    const SamplingOptions& o;
    explicit Step(const SamplingOptions& given) : o(given) {}
    void apply(const SampleInput& in, Candidates& c) override { Apply(o, in, c); }
  };
  return std::make_unique<Step>(options);
}

// All samplers, in the default order.
std::vector<const SamplerKind*> all_samplers();
const SamplerKind* find_sampler(std::string_view name);  // null when there is none

// Names of the presets, the default first; the order of one. Throws bad_option for an unknown name.
std::vector<std::string_view> sampler_presets();
std::vector<const SamplerKind*> sampler_preset(std::string_view name);
// The samplers that act for these options, in order. Throws bad_option for unknown names, for
// active samplers that an explicit list leaves out, and for one that must be last and is not.
std::vector<const SamplerKind*> sampler_chain(const SamplingOptions& options);

class Sampler {
 public:
  // Throws bad_option for values out of range.
  explicit Sampler(const SamplingOptions& options, SamplerSetup setup = {});
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // context: all tokens before the one to choose.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> context);
  // What is left to choose from after the chain; sample() draws from it.
  const Candidates& candidates(std::span<const float> logits, std::span<const int32_t> context);
  uint64_t seed() const { return seed_; }

 private:
  int32_t draw(double* probability);

  const SamplingOptions options_;
  const SamplerSetup setup_;
  uint64_t seed_;
  Rng rng_;
  std::vector<std::unique_ptr<SamplerStep>> steps_;
  Candidates candidates_;
};

}  // namespace lm
