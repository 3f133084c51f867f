#include "engine/train/adapter_values.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "engine/train/roles.h"

namespace lm::train {
namespace {

template <typename F>
void for_each_adapted(TrainModel* model, F&& f) {
  model->for_each_linear([&](Linear& linear) {
    for (Piece& piece : linear.pieces())
      if (piece.rank > 0 || piece.factor != nullptr) f(linear, piece);
  });
}

std::vector<float> floats(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  const float* begin = c.const_data_ptr<float>();
  return {begin, begin + c.numel()};
}

// what: for messages.
void copy_floats(const std::vector<float>& from, const Adapter& adapter, const char* what,
                 Parameter* to) {
  LM_CHECK((to != nullptr ? to->value.numel() : 0) == static_cast<int64_t>(from.size()),
           ErrorCode::bad_option,
           "the adapter \"{}\" has {} {}{}; the run trains {} of them: it is of another method",
           adapter.name, from.size(), what, to != nullptr ? " for \"" + to->name + "\"" : "",
           to != nullptr ? to->value.numel() : 0);
  if (to != nullptr)
    std::memcpy(to->value.mutable_data_ptr<float>(), from.data(), from.size() * sizeof(float));
}

void random_start(const Linear& linear, const LoraOptions& lora, uint64_t seed, Piece* piece) {
  Rng rng(seed ^ (uint64_t{crc32(std::as_bytes(std::span(piece->name)))} << 20));
  const double bound = 1.0 / std::sqrt(static_cast<double>(linear.in()));
  const double deviation = 1.0 / static_cast<double>(piece->rank);
  const bool gaussian = lora.init == "gaussian";
  float* a = piece->a->value.mutable_data_ptr<float>();
  for (int64_t i = 0; i < piece->a->value.numel(); ++i)
    a[i] =
        static_cast<float>(gaussian ? rng.normal() * deviation : (2 * rng.uniform() - 1) * bound);
  piece->b->value.zero_();
}

void load_virtual_tokens(TrainModel* model, const Adapter& adapter) {
  const VirtualTokens &from = adapter.virtual_tokens, to = model->virtual_rows().values();
  LM_CHECK(from.n == to.n && from.width == to.width && (to.n == 0 || from.kind == to.kind),
           ErrorCode::bad_option,
           "the adapter \"{}\" has {} virtual tokens of {} numbers; the run trains {} of {}",
           adapter.name, from.n, from.width, to.n, to.width);
  if (to.n > 0)
    copy_floats(from.values, adapter, "virtual tokens", model->virtual_rows().parameter());
}

std::vector<int64_t> first_tokens(const TrainOptions& o, int64_t vocab_size,
                                  const Tokenizer& tokenizer) {
  std::vector<int64_t> text, out;
  if (!o.prompt_text.empty())
    for (const int32_t id : tokenizer.encode(o.prompt_text)) text.push_back(id);
  LM_CHECK(o.prompt_text.empty() || !text.empty(), ErrorCode::bad_option,
           "prompt_text is \"{}\", which is no token", o.prompt_text);
  Rng rng(static_cast<uint64_t>(o.seed));
  for (int64_t i = 0; i < n_virtual_tokens(o); ++i)
    out.push_back(text.empty()
                      ? static_cast<int64_t>(rng.uniform() * static_cast<double>(vocab_size))
                      : text[static_cast<size_t>(i) % text.size()]);
  return out;
}

}  // namespace

void init_adapter(TrainModel* model, const TrainOptions& o, const Tokenizer& tokenizer) {
  const at::NoGradGuard no_grad;
  if (n_virtual_tokens(o) > 0)
    model->start_virtual_tokens(first_tokens(o, model->spec().vocab_size, tokenizer));
  for_each_adapted(model, [&](Linear& linear, Piece& piece) {
    if (piece.rank == 0) return;
    if (!piece.start.a.defined())
      return random_start(linear, o.lora, static_cast<uint64_t>(o.seed), &piece);
    piece.a->value.copy_(piece.start.a);
    piece.b->value.copy_(piece.start.b);
  });
  model->for_each_linear([](Linear& linear) { linear.init_magnitudes(); });
}

void load_adapter(TrainModel* model, const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  std::map<std::string, const AdapterTensor*> left;
  for (const AdapterTensor& t : adapter.tensors) left[t.name] = &t;
  for_each_adapted(model, [&](Linear&, Piece& piece) {
    const auto it = left.find(piece.name);
    LM_CHECK(it != left.end(), ErrorCode::bad_option,
             "the adapter \"{}\" does not change \"{}\"; expected one of the same targets",
             adapter.name, piece.name);
    const AdapterTensor& t = *it->second;
    LM_CHECK(t.rank == piece.rank, ErrorCode::bad_option,
             "the adapter \"{}\" has rank {} for \"{}\"; lora.rank is {}", adapter.name, t.rank,
             piece.name, piece.rank);
    copy_floats(t.a, adapter, "numbers A", piece.a);
    copy_floats(t.b, adapter, "numbers B", piece.b);
    copy_floats(t.magnitude, adapter, "magnitudes (DoRA)", piece.magnitude);
    copy_floats(t.out_factor, adapter, "factors (IA3)", piece.factor);
    left.erase(it);
  });
  load_virtual_tokens(model, adapter);
  LM_CHECK(left.empty(), ErrorCode::bad_option,
           "the adapter \"{}\" changes \"{}\", which the run does not train", adapter.name,
           left.begin()->first);
}

Adapter adapter_of(TrainModel* model) {
  Adapter out;
  out.format = "peft";
  out.virtual_tokens = model->virtual_rows().values();
  for_each_adapted(model, [&](Linear& linear, Piece& piece) {
    AdapterTensor t;
    t.name = piece.name;
    t.out = piece.n_out;
    if (piece.factor != nullptr) t.out_factor = floats(piece.factor->value);
    if (piece.magnitude != nullptr) t.magnitude = floats(piece.magnitude->value);
    if (piece.rank > 0) {
      at::Tensor a = piece.a->value.detach(), b = piece.b->value.detach();
      if (piece.start.a.defined()) {
        a = at::cat(std::vector<at::Tensor>{a, piece.start.a}, 0);
        b = at::cat(std::vector<at::Tensor>{b, -piece.start.b}, 1);
      }
      t.rank = a.size(0);
      t.in = linear.in();
      t.a = floats(a);
      t.b = floats(b);
      t.scale = piece.scale;
    }
    out.tensors.push_back(std::move(t));
  });
  return out;
}

}  // namespace lm::train
