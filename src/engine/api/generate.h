// Generation from a model: a context holds the tokens evaluated so far, a generation continues them
// step by step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lm {

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

  // Makes the context hold exactly `tokens`, evaluating only what follows the longest common prefix
  // with what it already holds. Returns the logits [V] after the last token; valid until the next
  // call. Throws bad_option for no tokens, ids outside the vocabulary, or more than n_ctx;
  // interrupted (what was evaluated stays).
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

// temperature 0 is greedy: the most likely token, ties to the lowest id. Order: logit penalties,
// temperature, top-k, top-p, min-p, then one draw.
struct SamplingOptions {
  double temperature = 0.0;
  int64_t top_k = 0;                // 0: off
  double top_p = 1.0;               // 1: off
  double min_p = 0.0;               // 0: off
  double repetition_penalty = 1.0;  // 1: off (Keskar et al. 2019)
  double presence_penalty = 0.0;    // OpenAI's definition
  double frequency_penalty = 0.0;   // OpenAI's definition
  int64_t penalty_window = 64;      // last tokens that the repetition penalty looks at; -1: all
  int64_t seed = -1;                // -1: from the system
};

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 512;
  std::vector<std::string> stop;  // texts that end the generation; not part of the result
  bool ignore_eos = false;
};

struct GenerateStats {
  int64_t prompt_tokens = 0, reused_tokens = 0, completion_tokens = 0;
  double prompt_seconds = 0, decode_seconds = 0;
  uint64_t seed = 0;
  std::string finish_reason;  // "stop" (end token or stop text), "length" (max_tokens or context),
                              // "" while running
};

class Generation {
 public:
  // Keeps a reference to the context, which must not be used by others until the generation ends.
  Generation(std::shared_ptr<Context> context, std::vector<int32_t> prompt,
             GenerateOptions options);
  ~Generation();

  // Produces the next token; returns false when there is none. *piece receives text that is
  // complete UTF-8 and cannot belong to a stop text any more; it may be empty. After the last token
  // it receives what was held back. Throws interrupted; the context keeps what was evaluated.
  bool next(std::string* piece);

  const std::vector<int32_t>& tokens() const;  // produced so far
  const GenerateStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm
