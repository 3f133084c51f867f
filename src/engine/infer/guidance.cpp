#include "engine/infer/guidance.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/logprobs.h"

namespace lm {

void check_guidance(const GuidanceOptions& o, int64_t vocab_size) {
  if (!o.context) return;
  const ModelInfo& other = o.context->model()->info();
  LM_CHECK(other.vocab_size == vocab_size, ErrorCode::bad_option,
           "the other model \"{}\" has {} tokens, this one {}; expected the same vocabulary",
           other.name, other.vocab_size, vocab_size);
  LM_CHECK(!o.prompt.empty(), ErrorCode::bad_option,
           "the other prompt is empty; expected at least one token");
  LM_CHECK(std::isfinite(o.scale), ErrorCode::bad_option, "guidance_scale is {}; expected a number",
           o.scale);
  LM_CHECK(o.alpha > 0 && o.alpha <= 1, ErrorCode::bad_option,
           "contrastive_alpha is {}; expected a number above 0 and at most 1", o.alpha);
}

void guide(const GuidanceOptions& o, std::span<const int32_t> produced, std::span<float> logits) {
  std::vector<int32_t> ids = o.context->begin(o.prompt);
  ids.insert(ids.end(), produced.begin(), produced.end());
  const auto other = o.context->eval(ids);
  const double own_sum = log_sum_exp(logits), other_sum = log_sum_exp(other);
  const double best = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  const double floor = best - own_sum + std::log(o.alpha);
  for (size_t i = 0; i < logits.size(); ++i) {
    const double c = static_cast<double>(logits[i]) - own_sum;
    const double u = static_cast<double>(other[i]) - other_sum;
    if (o.kind == GuidanceOptions::Kind::classifier_free)
      logits[i] = static_cast<float>(u + o.scale * (c - u));
    else
      logits[i] = c >= floor ? static_cast<float>(c - u) : -std::numeric_limits<float>::infinity();
  }
}

}  // namespace lm
