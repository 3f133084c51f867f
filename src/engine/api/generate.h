// Generation from a model: a context holds the tokens evaluated so far, a generation continues them
// step by step.
#pragma once

#include <atomic>
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
struct Sequence;

// Evaluated tokens of one sequence and their keys and values. Used by one thread at a time; the
// model's scheduler evaluates those of several contexts in one pass, with bitwise the same results.
// When memory is short, a context that rests may lose what it holds; it is evaluated anew then.
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
  std::vector<int32_t> tokens() const;

  // Works with these adapters of the model, in this order, whichever others it has; without a call
  // with all. eval() throws not_found for one that the model does not have.
  void choose_adapters(std::vector<std::string> names);
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
  // with what it already holds or what the model's prefix cache knows. Returns the logits [V] after
  // the last token; valid until the next call. hidden: receives the final hidden states [n, C] of
  // the tokens that this call evaluates, those that the context did not hold. Throws bad_option for
  // no tokens, ids outside the vocabulary, more than n_ctx, or fewer image tokens than image rows;
  // interrupted (what was evaluated stays); out_of_memory.
  std::span<const float> eval(std::span<const int32_t> tokens,
                              std::vector<float>* hidden = nullptr);
  // eval() for several contexts of one model in the same passes; logits() are the results.
  struct Evaluation {
    Context* context;
    std::vector<int32_t> tokens;
    std::vector<float>* hidden = nullptr;
  };
  static void eval_together(std::span<const Evaluation> all);
  std::span<const float> logits() const;
  // Becomes a copy of another context of the model, of its first n tokens. Memory is shared as far
  // as both stay alike.
  void become(const Context& other, size_t n);
  // Writes the tokens, all that the model remembers of them and a note to a file, or takes them
  // from one and returns the note.
  // restore() throws bad_file for what is no such file or damaged, bad_option for another model's;
  // the context is empty then. Both throw io; save() unsupported for texts with images or adapters.
  void save(const std::string& path, const std::string& note = {}) const;
  std::string restore(const std::string& path);
  // Adds one token and returns the logits after it.
  std::span<const float> append(int32_t token);
  // Logits after every one of `tokens`, [T, V]; starts from an empty context.
  std::vector<float> eval_all(std::span<const int32_t> tokens);
  // Tokens of the last eval() that did not need evaluation.
  int64_t n_reused() const;

  // For the engine: makes the context a beginning of `tokens` that eval() of them would keep, and
  // returns its length; the text itself.
  int64_t keep_common(std::span<const int32_t> tokens);
  Sequence& sequence() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Guessing tokens ahead and checking the guesses in one pass. Every token is drawn from the model's
// own distribution as without, so the answer is the same, token by token (that is rejection
// sampling for guesses that are sure of themselves: Leviathan et al. 2023). How many are guessed
// follows what was accepted and what a pass costs.
struct SpeculationOptions {
  enum class Kind : uint8_t {
    none,
    prompt_lookup,  // what followed the last tokens earlier in the text (Saxena 2023)
    draft_model,    // what a smaller model with the same vocabulary finds most likely
  };
  Kind kind = Kind::none;
  int64_t max_draft_tokens = 7;    // 1..7
  std::shared_ptr<Context> draft;  // of the smaller model
};

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 512;
  std::vector<std::string> stop;        // texts that end the generation; not part of the result
  std::vector<int32_t> stop_token_ids;  // tokens that end it as the model's own end tokens do
  bool ignore_eos = false;              // go on after the model's own end tokens
  // Control tokens whose names stand in these texts are part of the answer, under their names; all
  // others add no text.
  std::vector<std::string> show_tokens;
  int64_t logprobs = -1;     // record the chosen token's and this many best; -1: none
  GuidanceOptions guidance;  // acts before hooks and samplers
  // When the context is full: "stop" ends with finish_reason "length"; "shift" forgets the older
  // half of what follows the first `keep` tokens and evaluates the rest anew.
  std::string overflow = "stop";
  int64_t keep = 0;
  SpeculationOptions speculation;
  int64_t priority = 0;  // lower comes first when requests compete for the model
  std::string fair_key;  // whose request it is: the machine is shared alike between keys
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
  int64_t draft_tokens = 0, accepted_tokens = 0;  // guessed, and guessed right
  double prompt_seconds = 0, decode_seconds = 0;
  uint64_t seed = 0;
  std::string finish_reason;  // "stop" (end token or stop text), "length" (max_tokens or context),
                              // "error" (a hook or sampler threw), "" while running
  std::string stop_text;      // the stop text that ended it, if one did
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

  // Joins the model's running batch: the generation goes on while anybody waits for the model, up
  // to some tokens ahead of next(). next() does it where it was not done.
  void start();
  // Whether next() would return at once, or has to set the generation going again.
  bool ready() const;
  // Produces the next token; returns false when there is none. *piece receives text that is
  // complete UTF-8 and cannot belong to a stop text any more; it may be empty. After the last token
  // it receives what was held back. A hook must be given with each call or with none. Throws
  // interrupted; the context keeps what was evaluated.
  bool next(std::string* piece, const LogitsHook& hook = {});

  const std::vector<int32_t>& tokens() const;         // given by next() so far
  const std::vector<StepLogprobs>& logprobs() const;  // one for each of them, if asked for
  const GenerateStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs the steps of a model's scheduler on the calling thread until `stop`. Programs with many
// readers use it, which then look for tokens (Generation::ready) instead of waiting for each.
void drive_scheduler(const Model& model, const std::atomic<bool>& stop);

}  // namespace lm
