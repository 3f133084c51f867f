// All projections of a model, in a fixed order.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/models/model_weights.h"

namespace lm {

// The layers' projections, the output's, then those of the encoder.
void for_each_linear(const ModelWeights& weights,
                     const std::function<void(const LinearWeights&)>& f);

// A number that differs for models whose packed weights differ: CRC-32 over the first bytes of
// every matrix.
uint32_t fingerprint(const ModelWeights& weights);

}  // namespace lm
