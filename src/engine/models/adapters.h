// Adapters that run beside a model's weights: for each changed matrix, out += scale * B (A in), and
// where rows of W get another length (DoRA, IA3) out is scaled first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/formats/adapter.h"
#include "engine/models/model_weights.h"

namespace lm {

// Ranks beyond this are refused.
inline constexpr int64_t kMostRank = 1024;

// One adapter on one linear op of the model. The rows of `b` are those of the op's output as the
// kernels write it (interleaved panels included), from `out_row` on; the scale is in it.
struct LoraWeights {
  LinearWeights a, b;  // [rank, in], [rows, rank]; without rows for IA3
  int64_t out_row = 0;
  // out += gain * out + offset, [rows] or empty: the factors of the rows less 1, times the
  // adapter's strength; the offset leaves the bias as it was.
  std::vector<float> gain, offset;
};

struct LoadedAdapter {
  uint64_t id = 0;  // of this load; never used twice in a process
  std::string name, format;
  std::string path;  // where it was read from
  float scale = 1.0f;
  int64_t n_params = 0;
  std::unordered_map<const LinearWeights*, std::vector<LoraWeights>> of_linear;
  VirtualTokens virtual_tokens;
};

// Immutable; adding or removing an adapter makes a new set.
struct AdapterSet {
  std::vector<std::shared_ptr<const LoadedAdapter>> adapters;
  // Calls f(LoraWeights) for what the adapters change in `linear`, in their order.
  template <typename F>
  void for_linear(const LinearWeights& linear, F&& f) const {
    for (const auto& adapter : adapters)
      if (const auto it = adapter->of_linear.find(&linear); it != adapter->of_linear.end())
        for (const LoraWeights& lora : it->second) f(lora);
  }
  // Those of the one adapter that has some; null: none does.
  const VirtualTokens* virtual_tokens() const;
};

// Packs a fitted adapter, its magnitudes resolved (adapter_rows.h), for a model's weights. scale:
// the share of the whole change. Throws bad_file for tensors that no linear op of
// the model reads, unsupported for ranks above kMostRank and
// for virtual tokens that the model cannot read.
std::shared_ptr<LoadedAdapter> load_adapter(const Adapter& adapter, const std::string& name,
                                            float scale, const ModelSpec& spec,
                                            const ModelWeights& weights);

}  // namespace lm
