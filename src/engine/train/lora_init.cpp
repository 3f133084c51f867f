#include "engine/train/lora_init.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace lm::train {
namespace {

template <typename F>
void for_each_adapted(TrainModel* model, F&& f) {
  model->for_each_linear([&](Linear& linear) {
    for (Piece& piece : linear.pieces())
      if (piece.rank > 0) f(linear, piece);
  });
}

std::vector<float> floats(const at::Tensor& t) {
  const float* begin = t.const_data_ptr<float>();
  return {begin, begin + t.numel()};
}

void copy_floats(const std::vector<float>& from, at::Tensor& to) {
  std::memcpy(to.mutable_data_ptr<float>(), from.data(), from.size() * sizeof(float));
}

}  // namespace

void init_lora(TrainModel* model, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for_each_adapted(model, [&](Linear& linear, Piece& piece) {
    Rng rng(seed ^ (uint64_t{crc32(std::as_bytes(std::span(piece.name)))} << 20));
    const double bound = 1.0 / std::sqrt(static_cast<double>(linear.in()));
    float* a = piece.a->value.mutable_data_ptr<float>();
    for (int64_t i = 0; i < piece.a->value.numel(); ++i)
      a[i] = static_cast<float>((2 * rng.uniform() - 1) * bound);
    piece.b->value.zero_();
  });
}

void load_lora(TrainModel* model, const Adapter& adapter) {
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
    copy_floats(t.a, piece.a->value);
    copy_floats(t.b, piece.b->value);
    left.erase(it);
  });
  LM_CHECK(left.empty(), ErrorCode::bad_option,
           "the adapter \"{}\" changes \"{}\", which lora.targets leaves out", adapter.name,
           left.begin()->first);
}

Adapter lora_adapter(TrainModel* model) {
  Adapter out;
  out.format = "peft";
  for_each_adapted(model, [&](Linear& linear, Piece& piece) {
    AdapterTensor t;
    t.name = piece.name;
    t.rank = piece.rank;
    t.in = linear.in();
    t.out = piece.n_out;
    t.a = floats(piece.a->value);
    t.b = floats(piece.b->value);
    t.scale = piece.scale;
    out.tensors.push_back(std::move(t));
  });
  return out;
}

}  // namespace lm::train
