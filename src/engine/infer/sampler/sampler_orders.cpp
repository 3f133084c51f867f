// In which order samplers act: three programs disagree, and users bring settings from each.
#include <fmt/ranges.h>

#include <array>

#include "engine/core/error.h"
#include "engine/infer/sampler/sampler.h"

namespace lm {

#define LM_SAMPLER(name) extern const SamplerKind kSampler_##name;
#include "engine/infer/sampler/sampler_list.inc"
#undef LM_SAMPLER

std::vector<const SamplerKind*> all_samplers() {
  return {
#define LM_SAMPLER(name) &kSampler_##name,
#include "engine/infer/sampler/sampler_list.inc"
#undef LM_SAMPLER
  };
}

namespace {

// Orders as published; samplers that a program lacks stand where their authors put them.
constexpr std::array kLlamaCpp = {"logit_bias",
                                  "allowed_token_ids",
                                  "suppress_tokens",
                                  "bad_words",
                                  "min_tokens",
                                  "forced_tokens",
                                  "penalties",
                                  "no_repeat_ngram",
                                  "dry",
                                  "top_n_sigma",
                                  "top_k",
                                  "typical_p",
                                  "top_p",
                                  "min_p",
                                  "top_a",
                                  "epsilon_cutoff",
                                  "eta_cutoff",
                                  "xtc",
                                  "temperature",
                                  "dynamic_temperature",
                                  "quadratic_smoothing",
                                  "mirostat_1",
                                  "mirostat_2",
                                  "adaptive_p"};
constexpr std::array kVllm = {"allowed_token_ids",
                              "suppress_tokens",
                              "bad_words",
                              "min_tokens",
                              "logit_bias",
                              "forced_tokens",
                              "penalties",
                              "no_repeat_ngram",
                              "dry",
                              "top_n_sigma",
                              "temperature",
                              "dynamic_temperature",
                              "quadratic_smoothing",
                              "min_p",
                              "top_k",
                              "top_p",
                              "typical_p",
                              "epsilon_cutoff",
                              "eta_cutoff",
                              "top_a",
                              "xtc",
                              "mirostat_1",
                              "mirostat_2",
                              "adaptive_p"};

std::vector<std::string_view> names_of(const std::vector<const SamplerKind*>& kinds) {
  std::vector<std::string_view> names;
  for (const SamplerKind* kind : kinds) names.push_back(kind->name);
  return names;
}

const SamplerKind* sampler_named(std::string_view name) {
  const SamplerKind* kind = find_sampler(name);
  LM_CHECK(kind, ErrorCode::bad_option,
           "samplers names \"{}\"; expected one preset ({}) or names of samplers: {}", name,
           fmt::join(sampler_presets(), ", "), fmt::join(names_of(all_samplers()), ", "));
  return kind;
}

bool is_preset(std::string_view name) {
  const auto presets = sampler_presets();
  return std::find(presets.begin(), presets.end(), name) != presets.end();
}

// The named samplers behind the masks that are not named. What is set but not named would silently
// do nothing.
std::vector<const SamplerKind*> explicit_order(const SamplingOptions& o) {
  std::vector<const SamplerKind*> named, order;
  for (const std::string& name : o.samplers) named.push_back(sampler_named(name));
  for (const SamplerKind* kind : all_samplers()) {
    if (std::find(named.begin(), named.end(), kind) != named.end() || !kind->active(o)) continue;
    LM_CHECK(kind->role == SamplerRole::mask, ErrorCode::bad_option,
             "samplers leaves out \"{}\", but its options are set ({}); name it or leave them out",
             kind->name, kind->options);
    order.push_back(kind);
  }
  order.insert(order.end(), named.begin(), named.end());
  return order;
}

}  // namespace

const SamplerKind* find_sampler(std::string_view name) {
  for (const SamplerKind* kind : all_samplers())
    if (kind->name == name) return kind;
  return nullptr;
}

std::vector<std::string_view> sampler_presets() {
  return {"transformers", "llama.cpp", "vllm"};
}

std::vector<const SamplerKind*> sampler_preset(std::string_view name) {
  LM_CHECK(is_preset(name), ErrorCode::bad_option, "no preset \"{}\"; expected one of {}", name,
           fmt::join(sampler_presets(), ", "));
  if (name == "transformers") return all_samplers();
  std::vector<const SamplerKind*> order;
  for (const char* one : name == "vllm" ? kVllm : kLlamaCpp) order.push_back(sampler_named(one));
  return order;
}

std::vector<const SamplerKind*> sampler_chain(const SamplingOptions& o) {
  const bool preset = o.samplers.empty() || (o.samplers.size() == 1 && is_preset(o.samplers[0]));
  auto order = !preset              ? explicit_order(o)
               : o.samplers.empty() ? all_samplers()
                                    : sampler_preset(o.samplers[0]);
  const bool greedy = o.temperature <= 0;
  std::erase_if(order, [&](const SamplerKind* kind) {
    const bool late = kind->role != SamplerRole::mask && kind->role != SamplerRole::edit;
    const bool replaced = preset && o.mirostat != 0 && kind->role == SamplerRole::truncate;
    return !kind->active(o) || (greedy && late) || replaced;
  });
  for (size_t i = 0; i + 1 < order.size(); ++i)
    LM_CHECK(order[i]->role != SamplerRole::choose, ErrorCode::bad_option,
             "the sampler \"{}\" shapes the final draw and must be the last, but \"{}\" follows",
             order[i]->name, order[i + 1]->name);
  return order;
}

}  // namespace lm
