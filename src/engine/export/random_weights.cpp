#include "engine/export/random_weights.h"

#include <cmath>
#include <numbers>

#include "engine/core/crc32.h"
#include "engine/core/rng.h"

namespace lm {
namespace {

constexpr float kDeviation = 0.02f;

// Pairs of normal numbers (Box & Muller 1958).
void draw_normal(uint64_t seed, float deviation, std::span<float> values) {
  Rng rng(seed);
  for (size_t i = 0; i < values.size(); i += 2) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
    const double angle = 2.0 * std::numbers::pi * rng.uniform();
    values[i] = deviation * static_cast<float>(radius * std::cos(angle));
    if (i + 1 < values.size())
      values[i + 1] = deviation * static_cast<float>(radius * std::sin(angle));
  }
}

}  // namespace

void RandomWeights::add(const NormSpec& norm) {
  if (!norm.weight.empty()) rules_[norm.weight] = {1.0f - norm.offset, 0};
  if (!norm.bias.empty()) rules_[norm.bias] = {0, 0};
}

void RandomWeights::add(const LinearSpec& linear, float deviation) {
  if (!linear.weight.empty()) rules_[linear.weight] = {0, deviation};
  if (!linear.bias.empty()) rules_[linear.bias] = {0, 0};
}

RandomWeights::RandomWeights(const ModelSpec& spec, uint64_t seed) : seed_(seed) {
  const float residual =
      kDeviation / std::sqrt(2.0f * static_cast<float>(std::max<size_t>(1, spec.layers.size())));
  const auto add_mlp = [&](const MlpSpec& m) {
    add(m.gate, kDeviation);
    add(m.up, kDeviation);
    add(m.down, residual);
  };
  for_each_branch(spec, [&](const Branch& branch) {
    add(branch.norm);
    add(branch.post_norm);
    if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) {
      for (const LinearSpec& l : a->qkv) add(l, kDeviation);
      if (a->latent) {
        for (const auto& l :
             {a->latent->q_a.value_or(LinearSpec{}), a->latent->q_b, a->latent->kv_a})
          add(l, kDeviation);
        for (const LinearSpec& l : a->latent->kv_b) add(l, kDeviation);
        add(a->latent->q_norm);
        add(a->latent->kv_norm);
      }
      for (const NormSpec& n : {a->q_norm, a->k_norm, a->result_norm}) add(n);
      add(a->output, residual);
    } else if (const auto* m = std::get_if<MlpSpec>(&branch.op)) {
      add_mlp(*m);
    } else if (const auto* x = std::get_if<MoeSpec>(&branch.op)) {
      add(x->gate, kDeviation);
      for (const MlpSpec& expert : x->experts) add_mlp(expert);
      if (x->shared) add_mlp(*x->shared);
      if (x->shared_gate) add(*x->shared_gate, kDeviation);
    }
  });
  for (const auto& layer : spec.layers)
    for (const Block& block : layer) add(block.out_norm);
  add(spec.embedding_norm);
  add(spec.final_norm);
  if (spec.output) add(*spec.output, kDeviation);
  add(spec.embedding, kDeviation);
  if (!spec.positions.empty()) rules_[spec.positions] = {0, kDeviation};
}

bool RandomWeights::fill(std::string_view name, std::span<float> values) const {
  const auto it = rules_.find(name);
  if (it == rules_.end()) return false;
  const Rule& rule = it->second;
  if (rule.deviation > 0)
    draw_normal(seed_ * 0x9e3779b97f4a7c15u + crc32(std::as_bytes(std::span(name))), rule.deviation,
                values);
  else
    std::fill(values.begin(), values.end(), rule.mean);
  return true;
}

}  // namespace lm
