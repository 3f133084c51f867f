// Beam search: the most likely continuations instead of drawn ones.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/sampling.h"

namespace lm {

class Model;

struct BeamOptions {
  int64_t num_beams = 4;             // sequences that are followed at once
  int64_t num_return_sequences = 1;  // at most num_beams
  // Groups search one after the other at every step; a token that earlier groups took costs
  // diversity_penalty each time (Vijayakumar et al. 2016). num_beams is a multiple of them.
  int64_t num_beam_groups = 1;
  double diversity_penalty = 0.0;
  double length_penalty = 1.0;  // score = sum of log-probabilities / length^length_penalty
  // "true": ends when num_beams sequences are complete. "false": also when no running one can beat
  // them at the present length. "never": only when none can at any length.
  std::string early_stopping = "false";
  int64_t max_tokens = 512;
  std::vector<int32_t> stop_token_ids;  // end a sequence, as the model's own end tokens do
  bool ignore_eos = false;
  // Masks and penalties change the log-probabilities that are added up. temperature must be 0.
  SamplingOptions sampling;
  // Called with the tokens so far after every step; may be empty.
  std::function<void(int64_t)> progress;
};

struct BeamSequence {
  std::vector<int32_t> ids;  // without the token that ended it
  double score;
  bool stopped;  // by an end token; else by max_tokens
};

// The best sequences, best first; equals transformers' beam search (generation of a batch of one,
// do_sample = false; groups as in its version 4.46). Ties go to the earlier beam and the lower id.
// n_ctx: as for Context. Throws bad_option for options out of range, interrupted, and what
// Context::eval throws.
std::vector<BeamSequence> beam_search(std::shared_ptr<const Model> model,
                                      const std::vector<int32_t>& prompt,
                                      const BeamOptions& options, int64_t n_ctx = 0);

}  // namespace lm
