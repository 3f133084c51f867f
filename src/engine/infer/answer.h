// One answer as it grows: chooses tokens from logits, turns them into text, knows when it ends.
// How the logits come about is somebody else's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/api/constraint.h"
#include "engine/api/generate.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/text/stop_strings.h"
#include "engine/text/utf8_stream.h"

namespace lm {

// One token on its way to the reader; or, with a finish reason, the end.
struct AnswerEvent {
  int32_t id = -1;
  std::string piece;  // text that is complete UTF-8 and belongs to no stop text
  StepLogprobs logprobs;
  const char* finish_reason = nullptr;
  std::string stop_text;  // with a finish reason: what ended it, if a stop text did
};

class Answer {
 public:
  // n_prompt: tokens before the answer. Throws bad_option.
  Answer(const Model& model, size_t n_prompt, const GenerateOptions& options);

  // Chooses the token that follows `text` (prompt and answer so far) from its logits, and takes
  // those behind it that a constraint leaves no choice about. Makes events of them. Returns the
  // tokens taken; none: the answer has ended. What a hook or sampler throws comes out.
  std::vector<int32_t> choose(std::span<const float> logits, std::span<const int32_t> text,
                              const LogitsHook& hook);
  // Ends the answer with this reason.
  void end(const char* reason);

  bool ended() const { return ended_; }
  uint64_t seed() const { return sampler_.seed(); }
  size_t n_tokens() const { return produced_.size(); }
  // Events made since the last call.
  std::vector<AnswerEvent> take_events() { return std::exchange(events_, {}); }

 private:
  void take(int32_t id, StepLogprobs logprobs, std::vector<int32_t>* taken);
  bool stops_at(int32_t id) const;

  const GenerateOptions& options_;
  const std::vector<int32_t> stop_tokens_;
  Sampler sampler_;
  Utf8Stream text_;
  StopStrings stops_;
  std::optional<ConstraintState> constraint_;
  std::vector<int32_t> produced_;
  std::vector<float> edited_;  // a copy of the logits for guidance, hook and constraint
  std::vector<AnswerEvent> events_;
  bool ended_ = false;
};

}  // namespace lm
