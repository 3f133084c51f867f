// Generation from a model: a context holds the tokens evaluated so far, a generation continues them
// step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/api/guidance.h"
#include "engine/api/sampling.h"

namespace lm {

class Constraint;
class Model;

// Evaluated tokens of one sequence and their keys and values. Used by one thread at a time.
class Context {
 public:
  // n_ctx: positions at most (0: the model's own length). Throws bad_option beyond the model's
  // length.
  explicit Context(std::shared_ptr<const Model> model, int64_t n_ctx = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const std::shared_ptr<const Model>& model() const;
  int64_t n_ctx() const;
  const std::vector<int32_t>& tokens() const;

  // Encoder-decoder models: evaluates the encoder for the text to read; the tokens held so far go
  // when it is another text than before. Throws unsupported for other models, bad_option as eval()
  // does.
  void set_source(std::span<const int32_t> tokens);
  // Models that see images: what stands for the image tokens of the tokens to evaluate, in their
  // order: [n, hidden size] f32, as ImageEncoder::rows gives them for each image. The tokens held
  // so far go, unless the rows before are the first of these. Throws unsupported for other models,
  // bad_option for a size that is no multiple of the hidden size.
  void set_image_rows(std::vector<float> rows);
  // What eval() must be given for a prompt: the prompt itself, or for encoder-decoder models, whose
  // encoder reads it here, the token that begins an answer.
  std::vector<int32_t> begin(std::span<const int32_t> prompt);
  // Makes the context hold exactly `tokens`, evaluating only what follows the longest common prefix
  // with what it already holds. Returns the logits [V] after the last token; valid until the next
  // call. Throws bad_option for no tokens, ids outside the vocabulary, more than n_ctx, or
  // fewer image tokens than image rows; interrupted (what was evaluated stays).
  std::span<const float> eval(std::span<const int32_t> tokens);
  // Adds one token and returns the logits after it.
  std::span<const float> append(int32_t token);
  // Logits after every one of `tokens`, [T, V]; starts from an empty context.
  std::vector<float> eval_all(std::span<const int32_t> tokens);
  // Tokens of the last eval() that did not need evaluation.
  int64_t n_reused() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 512;
  std::vector<std::string> stop;        // texts that end the generation; not part of the result
  std::vector<int32_t> stop_token_ids;  // tokens that end it as the model's own end tokens do
  bool ignore_eos = false;              // go on after the model's own end tokens
  int64_t logprobs = -1;                // record the chosen token's and this many best; -1: none
  GuidanceOptions guidance;             // acts before hooks and samplers
  // What the answer must satisfy; its mask acts behind hooks and before samplers. Tokens that it
  // leaves no choice about are taken without running the model, unless logprobs are asked for.
  std::shared_ptr<const Constraint> constraint;
};

struct TokenLogprob {
  int32_t id;
  double logprob;  // natural logarithm
};

// Log-probabilities of one step, of the model itself: before bias, penalties, temperature and
// hooks.
struct StepLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // best first, ties by lowest id
};

// May change the logits [V] of the next token; ids: all tokens so far, prompt included. Both are
// valid during the call only. What it throws ends the generation and comes out of next().
using LogitsHook = std::function<void(std::span<const int32_t> ids, std::span<float> logits)>;

struct GenerateStats {
  int64_t prompt_tokens = 0, reused_tokens = 0, completion_tokens = 0;
  double prompt_seconds = 0, decode_seconds = 0;
  uint64_t seed = 0;
  std::string finish_reason;  // "stop" (end token or stop text), "length" (max_tokens or context),
                              // "error" (a hook or sampler threw), "" while running
};

// Log-probabilities of the tokens behind the first n_prompt (at least 1), given all before them;
// `top` best ones with each. Works in `context`, reusing what it holds. Throws as Context::eval.
std::vector<StepLogprobs> score_tokens(Context& context, std::span<const int32_t> ids,
                                       size_t n_prompt, int64_t top);

class Generation {
 public:
  // Keeps a reference to the context, which must not be used by others until the generation ends.
  Generation(std::shared_ptr<Context> context, std::vector<int32_t> prompt,
             GenerateOptions options);
  ~Generation();

  // Produces the next token; returns false when there is none. *piece receives text that is
  // complete UTF-8 and cannot belong to a stop text any more; it may be empty. After the last token
  // it receives what was held back. Throws interrupted; the context keeps what was evaluated.
  bool next(std::string* piece, const LogitsHook& hook = {});

  const std::vector<int32_t>& tokens() const;         // produced so far
  const std::vector<StepLogprobs>& logprobs() const;  // one for each of them, if asked for
  const GenerateStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm
