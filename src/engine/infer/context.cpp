#include <algorithm>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/pooled.h"
#include "engine/infer/scheduler.h"
#include "engine/infer/session_file.h"

namespace lm {
namespace {

// Tokens whose logits, and hidden states if wanted, are all there is to do.
struct EvalTask : Task {
  using Task::Task;
  std::vector<int32_t> ready(std::span<const float>) override { return {}; }
};

int64_t context_size(const Model& model, int64_t n) {
  check_reads_text(model);
  const int64_t most = model.info().context_length;
  LM_CHECK(n >= 0 && n <= most, ErrorCode::bad_option,
           "context is {}; the model was made for at most {} tokens", n, most);
  return n == 0 ? most : n;
}

}  // namespace

struct Context::Impl {
  std::shared_ptr<const Model> model;
  Scheduler& scheduler;
  std::unique_ptr<Sequence> sequence;
  EvalTask task;
  std::vector<float> logits;  // [V]
  int64_t n_reused = 0;

  Impl(std::shared_ptr<const Model> m, int64_t n_ctx)
      : model(std::move(m)),
        scheduler(Scheduler::of(*model)),
        sequence(scheduler.open(model, n_ctx)),
        task(*sequence),
        logits(static_cast<size_t>(model->spec().vocab_size)) {}
  ~Impl() {
    scheduler.withdraw(task);
    scheduler.close(std::move(sequence));
  }

  // Puts the tokens that follow those held in line. to: where logits of the last n_logits go.
  void start(std::span<const int32_t> more, int64_t n_logits, float* to,
             std::vector<float>* hidden = nullptr) {
    if (hidden) hidden->resize(more.size() * static_cast<size_t>(model->spec().hidden_size));
    task.pending.assign(more.begin(), more.end());
    task.n_logits = n_logits;
    task.logits = to;
    task.hidden = hidden ? hidden->data() : nullptr;
    scheduler.start(task);
  }
  void wait() {
    scheduler.wait(task, [] { return false; });
  }

  void check(std::span<const int32_t> more, size_t total) const {
    LM_CHECK(!more.empty(), ErrorCode::bad_option,
             "there are no tokens to evaluate; expected at least one");
    LM_CHECK(!model->spec().encoder || !sequence->source.empty(), ErrorCode::bad_option,
             "an encoder-decoder model has no text to read yet; expected a source first");
    LM_CHECK(total <= static_cast<size_t>(sequence->n_ctx), ErrorCode::bad_option,
             "the prompt has {} tokens, the context holds {}", total, sequence->n_ctx);
    for (const int32_t id : more)
      LM_CHECK(id >= 0 && id < model->spec().vocab_size, ErrorCode::bad_option,
               "token id {} is outside the vocabulary 0..{}", id, model->spec().vocab_size - 1);
  }
  // Of the whole text.
  void check_all(std::span<const int32_t> all) const {
    check(all, all.size());
    const int64_t n = sequence->n_image_tokens(all);
    LM_CHECK(n >= sequence->n_image_rows(), ErrorCode::bad_option,
             "the prompt has {} image tokens for {} image rows; expected as many", n,
             sequence->n_image_rows());
  }

  // Keeps what the text has in common with `tokens`: so many. Where more may come from the prefix
  // cache, nothing.
  int64_t keep_common(std::span<const int32_t> tokens, bool ask_cache) {
    return scheduler.alone([&] {
      Sequence& s = *sequence;
      if (!model->spec().encoder) s.use_adapters();
      check_all(tokens);
      size_t common = 0;
      while (common < s.tokens.size() && common < tokens.size() &&
             s.tokens[common] == tokens[common])
        ++common;
      // The last token is always evaluated: its logits are wanted.
      common = std::min(common, tokens.size() - 1);
      if (ask_cache &&
          scheduler.n_cached(s, tokens.first(tokens.size() - 1)) > static_cast<int64_t>(common))
        common = 0;
      s.cut(common);
      return s.n_tokens();
    });
  }
  void begin_eval(std::span<const int32_t> tokens, std::vector<float>* hidden) {
    n_reused = keep_common(tokens, hidden == nullptr);
    start(tokens.subspan(static_cast<size_t>(n_reused)), 1, logits.data(), hidden);
  }
  void end_eval() {
    wait();
    n_reused += task.n_reused;
  }
};

Context::Context(std::shared_ptr<const Model> model, int64_t n_ctx) : impl_(nullptr) {
  const int64_t n = context_size(*model, n_ctx);
  impl_ = std::make_unique<Impl>(std::move(model), n);
}
Context::~Context() = default;

const std::shared_ptr<const Model>& Context::model() const {
  return impl_->model;
}
int64_t Context::n_ctx() const {
  return impl_->sequence->n_ctx;
}
std::vector<int32_t> Context::tokens() const {
  return impl_->scheduler.alone([&] { return impl_->sequence->tokens; });
}
int64_t Context::n_reused() const {
  return impl_->n_reused;
}
int64_t Context::keep_common(std::span<const int32_t> tokens) {
  return impl_->n_reused = impl_->keep_common(tokens, true);
}
Sequence& Context::sequence() const {
  return *impl_->sequence;
}

void Context::choose_adapters(std::vector<std::string> names) {
  impl_->scheduler.alone([&] { impl_->sequence->chosen_adapters = std::move(names); });
}

void Context::set_source(std::span<const int32_t> tokens) {
  Impl& s = *impl_;
  LM_CHECK(s.model->spec().encoder != nullptr, ErrorCode::unsupported,
           "the model \"{}\" has no encoder; only encoder-decoder models read a source",
           s.model->info().name);
  Sequence& sequence = *s.sequence;
  const bool same = s.scheduler.alone([&] {
    sequence.use_adapters();
    return std::equal(tokens.begin(), tokens.end(), sequence.source.begin(), sequence.source.end());
  });
  if (same) return;
  const std::vector<float> hidden = Embedder(s.model).hidden({{tokens.begin(), tokens.end()}, {}});
  s.scheduler.alone([&] {
    s.scheduler.forward().set_source(hidden, sequence.adapters.get(), sequence.state);
    sequence.source.assign(tokens.begin(), tokens.end());
    sequence.cut(0);
  });
}

void Context::set_image_rows(std::vector<float> rows) {
  const ModelSpec& spec = impl_->model->spec();
  LM_CHECK(spec.vision != nullptr, ErrorCode::unsupported,
           "the model \"{}\" reads texts only; it cannot see images", impl_->model->info().name);
  LM_CHECK(rows.size() % static_cast<size_t>(spec.hidden_size) == 0, ErrorCode::bad_option,
           "{} values are no rows of {}", rows.size(), spec.hidden_size);
  impl_->scheduler.alone([&] {
    Sequence& s = *impl_->sequence;
    const bool extended = rows.size() >= s.image_rows.size() &&
                          std::equal(s.image_rows.begin(), s.image_rows.end(), rows.begin());
    // Image tokens that stood for themselves would get rows now.
    if (!extended || s.n_image_tokens(s.tokens) > s.n_image_rows()) s.cut(0);
    s.image_rows = std::move(rows);
  });
}

std::vector<int32_t> Context::begin(std::span<const int32_t> prompt) {
  const ModelSpec& spec = impl_->model->spec();
  if (!spec.encoder) return {prompt.begin(), prompt.end()};
  set_source(prompt);
  return {spec.decoder_start};
}

std::span<const float> Context::eval(std::span<const int32_t> tokens, std::vector<float>* hidden) {
  impl_->begin_eval(tokens, hidden);
  impl_->end_eval();
  return impl_->logits;
}

void Context::eval_together(std::span<const Evaluation> all) {
  for (const Evaluation& e : all) e.context->impl_->begin_eval(e.tokens, e.hidden);
  for (const Evaluation& e : all) e.context->impl_->end_eval();
}

std::span<const float> Context::logits() const {
  return impl_->logits;
}

void Context::become(const Context& other, size_t n) {
  impl_->scheduler.alone(
      [&] { impl_->scheduler.copy(*other.impl_->sequence, n, *impl_->sequence); });
}

void Context::save(const std::string& path, const std::string& note) const {
  impl_->scheduler.alone([&] { save_session(*impl_->sequence, note, path); });
}
std::string Context::restore(const std::string& path) {
  return impl_->scheduler.alone([&] { return restore_session(*impl_->sequence, path); });
}

std::span<const float> Context::append(int32_t token) {
  Impl& s = *impl_;
  const std::span<const int32_t> one(&token, 1);
  s.check(one, s.sequence->tokens.size() + 1);
  s.start(one, 1, s.logits.data());
  s.wait();
  return s.logits;
}

std::vector<float> Context::eval_all(std::span<const int32_t> tokens) {
  Impl& s = *impl_;
  s.scheduler.alone([&] {
    if (!s.model->spec().encoder) s.sequence->use_adapters();
    s.check_all(tokens);
    s.sequence->cut(0);
  });
  s.n_reused = 0;
  std::vector<float> all(tokens.size() * static_cast<size_t>(s.model->spec().vocab_size));
  s.start(tokens, static_cast<int64_t>(tokens.size()), all.data());
  s.wait();
  return all;
}

}  // namespace lm
