#include "engine/models/linear_list.h"

#include <algorithm>

#include "engine/core/crc32.h"

namespace lm {
namespace {

using Visit = std::function<void(const LinearWeights&)>;

void visit(const AttentionWeights& w, const Visit& f) {
  for (const LinearWeights* linear : {&w.qkv, &w.output, &w.kv, &w.q_a, &w.q_b, &w.kv_a, &w.kv_b})
    f(*linear);
}
void visit(const MlpWeights& w, const Visit& f) {
  f(w.in);
  f(w.out);
}
void visit(const MoeWeights& w, const Visit& f) {
  f(w.gate);
  f(w.shared_gate);
  for (const MlpWeights& expert : w.experts) visit(expert, f);
  visit(w.shared, f);
}
void visit(const SsmWeights& w, const Visit& f) {
  for (const LinearWeights* linear : {&w.in, &w.low, &w.dt, &w.output}) f(*linear);
}
void visit(const TimeMixWeights& w, const Visit& f) {
  for (const LinearWeights* linear : {&w.receptance, &w.key, &w.value, &w.gate, &w.output})
    f(*linear);
}
void visit(const ChannelMixWeights& w, const Visit& f) {
  for (const LinearWeights* linear : {&w.key, &w.value, &w.receptance}) f(*linear);
}

}  // namespace

void for_each_linear(const ModelWeights& weights, const Visit& f) {
  for (const auto& layer : weights.layers)
    for (const BlockWeights& block : layer)
      for (const BranchWeights& branch : block.branches)
        std::visit([&](const auto& op) { visit(op, f); }, branch.op);
  f(weights.output);
  if (weights.encoder) for_each_linear(*weights.encoder, f);
}

uint32_t fingerprint(const ModelWeights& weights) {
  constexpr size_t kBytes = 1024;
  uint32_t crc = 0;
  for_each_linear(weights, [&](const LinearWeights& linear) {
    for (const auto& part : linear.parts)
      crc = crc32({part->data.data(), std::min(kBytes, part->data.size())}, crc);
  });
  return crc;
}

}  // namespace lm
