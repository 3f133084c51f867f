// Contrastive search: of the likely tokens the one whose meaning is least like what was said (Su et
// al. 2022, arXiv:2202.06417).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/api/sampling.h"

namespace lm {

class Model;

struct ContrastiveOptions {
  // score = (1 - alpha) p - alpha max_j cos(h, h_j) over the top_k most likely tokens; h are hidden
  // states after the final norm.
  double penalty_alpha = 0.6;  // 0..1
  int64_t top_k = 4;
  int64_t max_tokens = 512;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  SamplingOptions sampling;               // masks and penalties act before; temperature must be 0
  std::function<void(int64_t)> progress;  // tokens so far; may be empty
};

struct ContrastiveResult {
  std::vector<int32_t> ids;  // without the token that ended it
  bool stopped;              // by an end token; else by max_tokens or the context
};

// Evaluates every candidate: top_k + 1 forward passes for each token. n_ctx: as for Context.
ContrastiveResult contrastive_search(std::shared_ptr<const Model> model,
                                     const std::vector<int32_t>& prompt,
                                     const ContrastiveOptions& options, int64_t n_ctx = 0);

}  // namespace lm
