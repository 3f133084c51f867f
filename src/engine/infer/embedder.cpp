#include <algorithm>
#include <cmath>

#include "engine/api/embed.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/forward.h"
#include "engine/infer/pooled.h"

namespace lm {
namespace {

// Tokens of one evaluation, in whole pages for each text, unless a single text needs more.
constexpr int64_t kBatchTokens = 1024;

void normalize(std::vector<float>& v) {
  double squares = 0;
  for (const float x : v) squares += static_cast<double>(x) * static_cast<double>(x);
  if (squares == 0) return;
  const auto scale = static_cast<float>(1.0 / std::sqrt(squares));
  for (float& x : v) x *= scale;
}

Pooling choose(PoolingChoice choice, const ModelSpec& spec) {
  switch (choice) {
    case PoolingChoice::mean:
      return Pooling::mean;
    case PoolingChoice::cls:
      return Pooling::cls;
    case PoolingChoice::last:
      return Pooling::last;
    default:
      return spec.pooling;
  }
}

}  // namespace

struct Embedder::Impl {
  std::shared_ptr<const Model> model;
  const ModelSpec& spec;  // the encoder's where there is one
  const ModelWeights& weights;
  std::unique_ptr<KvPages> pages;  // f32 keys and values: they live for one evaluation only
  std::unique_ptr<Forward> forward;

  explicit Impl(std::shared_ptr<const Model> m)
      : model(std::move(m)),
        spec(model->spec().encoder ? *model->spec().encoder : model->spec()),
        weights(model->spec().encoder ? *model->weights().encoder : model->weights()) {
    check_reads_text(*model);
  }

  void check(const TextInput& text) const {
    const auto n = static_cast<int64_t>(text.ids.size());
    LM_CHECK(n > 0, ErrorCode::bad_option, "a text has no tokens; expected at least one");
    LM_CHECK(n <= spec.context_length, ErrorCode::bad_option,
             "a text has {} tokens, the model takes {}", n, spec.context_length);
    for (const int32_t id : text.ids)
      LM_CHECK(id >= 0 && id < spec.vocab_size, ErrorCode::bad_option,
               "token id {} is outside the vocabulary 0..{}", id, spec.vocab_size - 1);
    const int64_t types =
        std::max<int64_t>(1, static_cast<int64_t>(weights.token_types.size()) / spec.hidden_size);
    LM_CHECK(text.types.empty() || text.types.size() == text.ids.size(), ErrorCode::bad_option,
             "{} token types for {} tokens; expected one for each", text.types.size(), n);
    for (const int32_t type : text.types)
      LM_CHECK(type >= 0 && (type < types || types == 1), ErrorCode::bad_option,
               "token type {}; the model has {}", type, types);
  }

  int64_t pages_of(const TextInput& text) const {
    const auto adapters = model->adapters();
    const VirtualTokens* v = adapters ? adapters->virtual_tokens() : nullptr;
    return pages_for(static_cast<int64_t>(text.ids.size()) + spec.n_meta + (v ? v->n : 0));
  }

  void reserve(int64_t n_pages) {
    if (pages && n_pages <= pages->n_pages()) return;
    const int64_t usual = pages_for(std::min(kBatchTokens, spec.context_length) + spec.n_meta);
    n_pages = std::max(n_pages, usual);
    const int64_t tokens = n_pages * kPageTokens;
    forward.reset();
    pages = std::make_unique<KvPages>(spec, KvType::f32, n_pages);
    forward = std::make_unique<Forward>(spec, weights, *pages, tokens, tokens);
  }

  // Calls f(text number, its hidden states [T, C]) for each text.
  template <typename F>
  void each(const std::vector<TextInput>& texts, F&& f) {
    for (const TextInput& text : texts) check(text);
    for (size_t begin = 0; begin < texts.size();) {
      check_interrupt();
      int64_t n_pages = 0;
      size_t end = begin;
      for (; end < texts.size(); ++end) {
        const int64_t more = pages_of(texts[end]);
        if (end > begin && (n_pages + more) * kPageTokens > kBatchTokens) break;
        n_pages += more;
      }
      reserve(n_pages);
      evaluate(std::span(texts).subspan(begin, end - begin),
               [&](size_t i, std::span<const float> hidden) { f(begin + i, hidden); });
      begin = end;
    }
  }

  template <typename F>
  void evaluate(std::span<const TextInput> texts, F&& f) {
    const auto c = static_cast<size_t>(spec.hidden_size);
    const bool typed = static_cast<int64_t>(weights.token_types.size()) > spec.hidden_size;
    const auto adapters = model->adapters();
    std::vector<std::unique_ptr<SequenceState>> states;
    std::vector<std::vector<float>> hidden;
    std::vector<Segment> segments;
    for (const TextInput& text : texts) {
      states.push_back(std::make_unique<SequenceState>(spec, *pages));
      forward->begin(adapters.get(), *states.back());
      const int64_t before = states.back()->n_before;
      states.back()->prepare(before, before + static_cast<int64_t>(text.ids.size()));
      Segment& segment = segments.emplace_back();
      segment.state = states.back().get();
      segment.tokens = text.ids;
      if (typed) segment.token_types = text.types;
      segment.hidden = hidden.emplace_back(text.ids.size() * c).data();
      segment.adapters = adapters.get();
    }
    forward->eval(segments, nullptr);
    for (size_t i = 0; i < texts.size(); ++i) f(i, hidden[i]);
  }
};

Embedder::Embedder(std::shared_ptr<const Model> model)
    : impl_(std::make_unique<Impl>(std::move(model))) {}
Embedder::~Embedder() = default;

std::vector<std::vector<float>> Embedder::embed(const std::vector<TextInput>& texts,
                                                const EmbedOptions& options) {
  const ModelSpec& spec = impl_->spec;
  LM_CHECK(options.dimensions >= 0 && options.dimensions <= spec.hidden_size, ErrorCode::bad_option,
           "dimensions is {}; expected 1..{}", options.dimensions, spec.hidden_size);
  std::vector<std::vector<float>> out(texts.size());
  impl_->each(texts, [&](size_t i, std::span<const float> hidden) {
    out[i] = pool(choose(options.pooling, spec), hidden, spec.hidden_size);
    if (options.dimensions > 0) out[i].resize(static_cast<size_t>(options.dimensions));
    if (options.normalize.value_or(spec.normalize)) normalize(out[i]);
  });
  return out;
}

std::vector<std::vector<float>> Embedder::scores(const std::vector<TextInput>& texts) {
  const auto& head = impl_->spec.head;
  LM_CHECK(head.has_value(), ErrorCode::unsupported,
           "the model \"{}\" has no classification head; rerankers and classifiers have one",
           impl_->model->info().name);
  std::vector<std::vector<float>> out(texts.size());
  impl_->each(texts, [&](size_t i, std::span<const float> hidden) {
    out[i] = run_head(*head, impl_->weights.head, hidden, impl_->spec.hidden_size);
  });
  return out;
}

std::vector<float> Embedder::hidden(const TextInput& text) {
  std::vector<float> out;
  impl_->each({text}, [&](size_t, std::span<const float> h) { out.assign(h.begin(), h.end()); });
  return out;
}

}  // namespace lm
