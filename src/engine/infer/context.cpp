#include <algorithm>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/forward.h"
#include "engine/infer/pooled.h"
#include "engine/infer/sequence_state.h"

namespace lm {

struct Context::Impl {
  std::shared_ptr<const Model> model;
  int64_t n_ctx;
  KvPages pages;
  SequenceState state;
  int64_t capacity;  // tokens of one evaluation
  Forward forward;
  std::vector<int32_t> tokens;                 // evaluated, in the cache
  std::vector<int32_t> source;                 // of encoder-decoder models
  std::vector<float> image_rows;               // [n, C]; of models that see images
  std::shared_ptr<const AdapterSet> adapters;  // those that the tokens were evaluated with
  std::vector<float> logits;                   // [V]
  int64_t n_reused = 0;

  Impl(std::shared_ptr<const Model> m, int64_t n)
      : model(std::move(m)),
        n_ctx(n),
        pages(model->spec(), model->info().precision == "exact" ? KvType::f32 : KvType::f16,
              pages_for(n + model->spec().n_meta) +
                  (model->spec().encoder ? pages_for(model->spec().encoder->context_length) : 0)),
        state(model->spec(), pages),
        capacity(model->spec().causal() ? std::min(n, Forward::kMicroBatch) : n),
        forward(model->spec(), model->weights(), pages, n, capacity),
        logits(static_cast<size_t>(model->spec().vocab_size)) {}

  // Evaluates tokens after those in the cache. Every micro-batch is a point where Ctrl-C can stop.
  // all: logits of every token go to all[T, V]; else those of the last one to `logits`.
  void extend(std::span<const int32_t> more, float* all) {
    const int64_t vocab = model->spec().vocab_size;
    if (tokens.empty()) forward.begin(adapters.get(), state);
    for (size_t done = 0; done < more.size();) {
      check_interrupt();
      const auto part =
          more.subspan(done, std::min(more.size() - done, static_cast<size_t>(capacity)));
      const bool last = done + part.size() == more.size();
      float* out = all ? all + static_cast<int64_t>(done) * vocab : logits.data();
      Segment segment;
      segment.state = &state;
      segment.tokens = part;
      segment.n_past = static_cast<int64_t>(tokens.size());
      segment.length = segment.n_past + static_cast<int64_t>(more.size() - done);
      segment.n_logits = all ? static_cast<int64_t>(part.size()) : last ? 1 : 0;
      segment.adapters = adapters.get();
      const auto embeddings = rows_in_place(part);
      segment.embeddings = embeddings;
      forward.eval({&segment, 1}, out);
      tokens.insert(tokens.end(), part.begin(), part.end());
      done += part.size();
    }
  }

  int64_t n_image_rows() const {
    return static_cast<int64_t>(image_rows.size()) / model->spec().hidden_size;
  }
  int64_t image_tokens(std::span<const int32_t> list) const {
    return std::count(list.begin(), list.end(), model->spec().image_token);
  }

  // The image rows of `part`, which follows the tokens held; empty when there are none. Image
  // tokens beyond the rows (a model may say one) stand for themselves.
  std::vector<const float*> rows_in_place(std::span<const int32_t> part) const {
    const auto width = static_cast<size_t>(model->spec().hidden_size);
    if (image_rows.empty() || image_tokens(part) == 0) return {};
    std::vector<const float*> out(part.size(), nullptr);
    size_t at = static_cast<size_t>(image_tokens(tokens)) * width;
    for (size_t i = 0; i < part.size() && at < image_rows.size(); ++i)
      if (part[i] == model->spec().image_token) {
        out[i] = image_rows.data() + at;
        at += width;
      }
    return out;
  }

  // Forgets all tokens but the first n. The state of a recurrent model cannot go back: it begins
  // anew.
  void cut(size_t n) {
    if (n < tokens.size() && model->spec().recurrent()) n = 0;
    tokens.resize(n);
  }

  // What was evaluated with other adapters is of no use.
  void use_adapters() {
    auto now = model->adapters();
    if (now == adapters) return;
    adapters = std::move(now);
    source.clear();
    state.start.reset();
    cut(0);
  }

  void check(std::span<const int32_t> more, size_t total) const {
    LM_CHECK(!more.empty(), ErrorCode::bad_option,
             "there are no tokens to evaluate; expected at least one");
    LM_CHECK(!model->spec().encoder || !source.empty(), ErrorCode::bad_option,
             "an encoder-decoder model has no text to read yet; expected a source first");
    LM_CHECK(total <= static_cast<size_t>(n_ctx), ErrorCode::bad_option,
             "the prompt has {} tokens, the context holds {}", total, n_ctx);
    for (const int32_t id : more)
      LM_CHECK(id >= 0 && id < model->spec().vocab_size, ErrorCode::bad_option,
               "token id {} is outside the vocabulary 0..{}", id, model->spec().vocab_size - 1);
  }
  // Of the whole text.
  void check_all(std::span<const int32_t> all) const {
    check(all, all.size());
    LM_CHECK(image_tokens(all) >= n_image_rows(), ErrorCode::bad_option,
             "the prompt has {} image tokens for {} image rows; expected as many",
             image_tokens(all), n_image_rows());
  }
};

namespace {

int64_t context_size(const Model& model, int64_t n) {
  check_reads_text(model);
  const int64_t most = model.info().context_length;
  LM_CHECK(n >= 0 && n <= most, ErrorCode::bad_option,
           "context is {}; the model was made for at most {} tokens", n, most);
  return n == 0 ? most : n;
}

}  // namespace

Context::Context(std::shared_ptr<const Model> model, int64_t n_ctx) : impl_(nullptr) {
  const int64_t n = context_size(*model, n_ctx);
  impl_ = std::make_unique<Impl>(std::move(model), n);
}
Context::~Context() = default;

const std::shared_ptr<const Model>& Context::model() const {
  return impl_->model;
}
int64_t Context::n_ctx() const {
  return impl_->n_ctx;
}
const std::vector<int32_t>& Context::tokens() const {
  return impl_->tokens;
}
int64_t Context::n_reused() const {
  return impl_->n_reused;
}

void Context::set_source(std::span<const int32_t> tokens) {
  Impl& s = *impl_;
  LM_CHECK(s.model->spec().encoder != nullptr, ErrorCode::unsupported,
           "the model \"{}\" has no encoder; only encoder-decoder models read a source",
           s.model->info().name);
  s.use_adapters();
  if (std::equal(tokens.begin(), tokens.end(), s.source.begin(), s.source.end())) return;
  const std::vector<float> hidden = Embedder(s.model).hidden({{tokens.begin(), tokens.end()}, {}});
  s.forward.set_source(hidden, s.adapters.get(), s.state);
  s.source.assign(tokens.begin(), tokens.end());
  s.cut(0);
}

void Context::set_image_rows(std::vector<float> rows) {
  Impl& s = *impl_;
  const ModelSpec& spec = s.model->spec();
  LM_CHECK(spec.vision != nullptr, ErrorCode::unsupported,
           "the model \"{}\" reads texts only; it cannot see images", s.model->info().name);
  LM_CHECK(rows.size() % static_cast<size_t>(spec.hidden_size) == 0, ErrorCode::bad_option,
           "{} values are no rows of {}", rows.size(), spec.hidden_size);
  const bool extended = rows.size() >= s.image_rows.size() &&
                        std::equal(s.image_rows.begin(), s.image_rows.end(), rows.begin());
  // Image tokens that stood for themselves would get rows now.
  if (!extended || s.image_tokens(s.tokens) > s.n_image_rows()) s.cut(0);
  s.image_rows = std::move(rows);
}

std::vector<int32_t> Context::begin(std::span<const int32_t> prompt) {
  const ModelSpec& spec = impl_->model->spec();
  if (!spec.encoder) return {prompt.begin(), prompt.end()};
  set_source(prompt);
  return {spec.decoder_start};
}

std::span<const float> Context::eval(std::span<const int32_t> tokens) {
  Impl& s = *impl_;
  if (!s.model->spec().encoder) s.use_adapters();
  s.check_all(tokens);
  size_t common = 0;
  while (common < s.tokens.size() && common < tokens.size() && s.tokens[common] == tokens[common])
    ++common;
  common = std::min(
      common, tokens.size() - 1);  // the last token is always evaluated: its logits are wanted
  s.cut(common);
  common = s.tokens.size();
  s.n_reused = static_cast<int64_t>(common);
  s.extend(tokens.subspan(common), nullptr);
  return s.logits;
}

std::span<const float> Context::append(int32_t token) {
  Impl& s = *impl_;
  const std::span<const int32_t> one(&token, 1);
  s.check(one, s.tokens.size() + 1);
  s.extend(one, nullptr);
  return s.logits;
}

std::vector<float> Context::eval_all(std::span<const int32_t> tokens) {
  Impl& s = *impl_;
  if (!s.model->spec().encoder) s.use_adapters();
  s.check_all(tokens);
  s.cut(0);
  s.n_reused = 0;
  std::vector<float> all(tokens.size() * static_cast<size_t>(s.model->spec().vocab_size));
  s.extend(tokens, all.data());
  return all;
}

}  // namespace lm
