#include <algorithm>
#include <chrono>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/text/stop_strings.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8_stream.h"

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct Generation::Impl {
  std::shared_ptr<Context> context;
  std::vector<int32_t> prompt, produced;
  GenerateOptions options;
  Sampler sampler;
  Utf8Stream text;
  StopStrings stops;
  GenerateStats stats;
  std::span<const float> logits;
  bool started = false, finished = false;

  Impl(std::shared_ptr<Context> c, std::vector<int32_t> p, GenerateOptions o)
      : context(std::move(c)),
        prompt(std::move(p)),
        options(std::move(o)),
        sampler(options.sampling),
        text(context->model()->tokenizer()),
        stops(options.stop) {
    LM_CHECK(options.max_tokens >= 0, ErrorCode::bad_option, "max_tokens is {}; expected 0 or more",
             options.max_tokens);
    stats.seed = sampler.seed();
    stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  }

  // Evaluates the prompt, or the token chosen last.
  void evaluate() {
    const auto start = Clock::now();
    if (started) {
      logits = context->append(produced.back());
      stats.decode_seconds += seconds_since(start);
      return;
    }
    logits = context->eval(prompt);
    started = true;
    stats.prompt_seconds = seconds_since(start);
    stats.reused_tokens = context->n_reused();
  }

  void finish(const char* reason, std::string* piece) {
    finished = true;
    stats.finish_reason = reason;
    if (!stops.stopped()) *piece += stops.push(text.finish());
    *piece += stops.finish();
  }

  bool next(std::string* piece) {
    piece->clear();
    if (finished) return false;
    const bool full =
        context->tokens().size() + (started ? 1 : 0) > static_cast<size_t>(context->n_ctx());
    if (static_cast<int64_t>(produced.size()) >= options.max_tokens || full) {
      finish("length", piece);
      return !piece->empty();
    }
    evaluate();
    const int32_t id = sampler.sample(logits, context->tokens());
    if (context->model()->tokenizer()->is_eos(id) && !options.ignore_eos) {
      finish("stop", piece);
      return !piece->empty();
    }
    produced.push_back(id);
    stats.completion_tokens = static_cast<int64_t>(produced.size());
    *piece = stops.push(text.push(id));
    if (stops.stopped()) finish("stop", piece);
    return true;
  }
};

Generation::Generation(std::shared_ptr<Context> context, std::vector<int32_t> prompt,
                       GenerateOptions options)
    : impl_(std::make_unique<Impl>(std::move(context), std::move(prompt), std::move(options))) {}
Generation::~Generation() = default;

bool Generation::next(std::string* piece) {
  return impl_->next(piece);
}
const std::vector<int32_t>& Generation::tokens() const {
  return impl_->produced;
}
const GenerateStats& Generation::stats() const {
  return impl_->stats;
}

}  // namespace lm
