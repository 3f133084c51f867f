// Values of a model that nothing has trained yet. Internal to export.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "engine/models/model_spec.h"

namespace lm {

// What the tensors of a description are for, and so how they begin.
class RandomWeights {
 public:
  RandomWeights(const ModelSpec& spec, uint64_t seed);
  // Fills a tensor (GGUF's name, the layout that the description is of). Numbers depend on seed,
  // name and position only. False, and nothing filled, for tensors that are no weight of a matrix
  // product, norm, bias or embedding (decays of state spaces, say).
  bool fill(std::string_view name, std::span<float> values) const;

 private:
  void add(const NormSpec& norm);
  void add(const LinearSpec& linear, float deviation);

  uint64_t seed_;
  struct Rule {
    float mean = 0, deviation = 0;
  };
  std::map<std::string, Rule, std::less<>> rules_;
};

}  // namespace lm
