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

// Cache rows of one evaluation, unless a single text needs more.
constexpr int64_t kBatchRows = 1024;

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
  int64_t capacity = 0;
  std::unique_ptr<SequenceState> state;
  std::unique_ptr<Forward> forward;
  std::shared_ptr<const AdapterSet> adapters;  // those that the state began with

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

  void reserve(int64_t rows) {
    if (rows <= capacity) return;
    capacity = std::max(rows, std::min(kBatchRows, round_up(spec.context_length, kTextAlign)));
    // f32 keys and values: they live for one evaluation only.
    state = std::make_unique<SequenceState>(spec, capacity, false);
    forward = std::make_unique<Forward>(spec, weights, capacity, capacity);
  }

  // Calls f(text number, its hidden states [T, C]) for each text.
  template <typename F>
  void each(const std::vector<TextInput>& texts, F&& f) {
    const auto c = static_cast<size_t>(spec.hidden_size);
    const bool typed = static_cast<int64_t>(weights.token_types.size()) > spec.hidden_size;
    for (const TextInput& text : texts) check(text);
    const bool one_by_one = spec.recurrent() || spec.n_meta > 0;
    if (auto now = model->adapters(); now != adapters) {
      adapters = std::move(now);
      if (state) state->start.reset();
    }
    for (size_t begin = 0; begin < texts.size();) {
      check_interrupt();
      std::vector<int32_t> ids, types;
      std::vector<int64_t> sizes;
      int64_t rows = 0;
      size_t end = begin;
      for (; end < texts.size(); ++end) {
        const TextInput& text = texts[end];
        const int64_t more = round_up(static_cast<int64_t>(text.ids.size()), kTextAlign);
        if (end > begin && (rows + more > kBatchRows || one_by_one)) break;
        rows += more;
        ids.insert(ids.end(), text.ids.begin(), text.ids.end());
        if (typed) types.insert(types.end(), text.types.begin(), text.types.end());
        if (typed) types.resize(ids.size(), 0);
        sizes.push_back(static_cast<int64_t>(text.ids.size()));
      }
      reserve(rows);
      std::vector<float> hidden(ids.size() * c);
      EvalRequest request;
      request.tokens = ids;
      request.token_types = types;
      request.texts = sizes;
      request.length = *std::max_element(sizes.begin(), sizes.end());
      request.hidden = hidden.data();
      request.adapters = adapters.get();
      forward->begin(adapters.get(), *state);
      forward->eval(request, *state);
      size_t at = 0;
      for (size_t i = begin; i < end; ++i) {
        const size_t n = texts[i].ids.size() * c;
        f(i, std::span<const float>(hidden).subspan(at, n));
        at += n;
      }
      begin = end;
    }
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
