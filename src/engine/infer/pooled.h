// One vector for a text or an image, and the scores of a head on it. Internal to infer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/models/model_spec.h"
#include "engine/models/model_weights.h"

namespace lm {

class Model;

// hidden: [T, c], T at least 1.
std::vector<float> pool(Pooling pooling, std::span<const float> hidden, int64_t c);
// [labels]
std::vector<float> run_head(const HeadSpec& head, const HeadWeights& weights,
                            std::span<const float> hidden, int64_t c);

// Throws unsupported for models that read images only.
void check_reads_text(const Model& model);

}  // namespace lm
