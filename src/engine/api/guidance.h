// A second stream of logits that steers the first: what another prompt or another model expects.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lm {

class Context;

struct GuidanceOptions {
  enum class Kind {
    classifier_free,  // u + scale (c - u): away from another prompt (Sanchez et al. 2023)
    contrastive,      // c - u over p >= alpha p_max: a large model without a small one's habits
                      // (Li et al. 2022)
  };
  Kind kind = Kind::classifier_free;
  // Evaluates the other stream: c are the log-probabilities of the model itself, u its. Null: no
  // guidance. Its vocabulary must be the same.
  std::shared_ptr<Context> context;
  std::vector<int32_t> prompt;  // what stands before the answer there
  double scale = 1.0;
  double alpha = 0.1;
};

}  // namespace lm
