#include "engine/train/train_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace lm::train {
namespace {

at::Tensor index_tensor(const std::vector<int64_t>& list) {
  return at::from_blob(const_cast<int64_t*>(list.data()), {static_cast<int64_t>(list.size())},
                       at::kLong);
}

void check_trainable(const ModelSpec& s) {
  LM_CHECK(s.output.has_value() && !s.encoder && !s.image && !s.head && s.causal() &&
               s.meta_tokens.empty() && s.token_types.empty(),
           ErrorCode::unsupported,
           "training: {} is not a plain decoder; expected a model that writes text and has no "
           "encoder, meta tokens or heads for scores",
           s.architecture);
}

// Uniform noise in +-alpha / sqrt(L d) for each document of L tokens (Jain et al. 2023,
// arXiv:2310.05914). A document has the same noise whatever it shares its pass with.
void add_noise(at::Tensor& x, const Batch& batch, float alpha, uint64_t seed) {
  const int64_t c = x.size(1);
  at::Tensor noise = at::zeros(x.sizes(), at::kFloat);
  float* to = noise.mutable_data_ptr<float>();
  for (int64_t d = 0; d < batch.n_documents(); ++d) {
    const int64_t begin = batch.document_begin[static_cast<size_t>(d)] + batch.n_virtual,
                  end = batch.document_begin[static_cast<size_t>(d) + 1];
    const double width =
        static_cast<double>(alpha) / std::sqrt(static_cast<double>((end - begin) * c));
    Rng rng(seed + static_cast<uint64_t>(batch.rows[static_cast<size_t>(d)]) * 0x9e3779b97f4a7c15u);
    for (int64_t i = begin * c; i < end * c; ++i)
      to[i] = static_cast<float>((2 * rng.uniform() - 1) * width);
  }
  x.add_(noise);
}

}  // namespace

TrainModel::TrainModel(const ModelSpec& spec, const TensorFile& file, const ModelOptions& options)
    : spec_(spec), options_(options) {
  check_trainable(spec);
  const at::NoGradGuard no_grad;
  if (options.grads_by_block) parameters_.keep_grads_by_block();
  const TensorReader reader(file);
  BlockBuilder b{reader, spec.hidden_size, options.compute, &parameters_, options.role};
  tied_ = spec.output->weight == spec.embedding.weight;
  embedding_trained_ = options.role(spec.embedding.weight).trained;
  if (!tied_) {
    embedding_ = reader.matrix(spec.embedding, spec.vocab_size, spec.hidden_size);
    if (embedding_trained_)
      embedding_parameter_ = parameters_.add(spec.embedding.weight, embedding_, true);
    embedding_ = embedding_.to(options.compute);
  }
  if (!spec.positions.empty()) {
    positions_ = reader.tensor(spec.positions);
    if (options.role(spec.positions).trained)
      positions_parameter_ = parameters_.adopt(spec.positions, positions_, true);
  }
  embedding_norm_ = Norm(spec.embedding_norm, spec.hidden_size, reader, &parameters_, options.role);
  bool found = false;
  for (const auto& layer : spec.layers) {
    for (const Block& block : layer) {
      const size_t before = parameters_.all().size();
      block_parameters_.push_back(before);
      std::unique_ptr<TrainBlock> made;
      if (options.fused) made = fused_attention_block(block, b);
      if (options.fused && !made) made = fused_mlp_block(block, b);
      if (!made) made = plain_block(block, b);
      if (!found && parameters_.all().size() > before) {
        found = true;
        lowest_trained_ = blocks_.size();
      }
      blocks_.push_back(std::move(made));
    }
    ++b.layer;
  }
  block_parameters_.push_back(parameters_.all().size());
  if (!found) lowest_trained_ = blocks_.size();
  embedding_trained_ |= embedding_norm_.trained() || positions_parameter_ != nullptr;
  final_norm_ = Norm(spec.final_norm, spec.hidden_size, reader, &parameters_, options.role);
  output_ = Linear({*spec.output}, {spec.vocab_size}, spec.hidden_size, reader, options.compute,
                   &parameters_, options.role);
  if (options.n_virtual > 0) {
    LM_CHECK(!embedding_norm_.exists(), ErrorCode::unsupported,
             "training: virtual tokens before a norm of the embeddings are not supported");
    virtual_rows_ = VirtualRows(options.virtual_kind, options.n_virtual, spec, &parameters_);
    lowest_trained_ = 0;
    embedding_trained_ |= virtual_rows_.prompt();
  }
  if (tied_) embedding_parameter_ = output_.pieces()[0].weight;
  options_.loss.n_vocab = spec.vocab_size;
  options_.loss.logit_scale = spec.logit_scale;
  options_.loss.softcap = spec.logit_softcap;
  for (Parameter& p : parameters_.all()) {
    p.value.requires_grad_(true);
    if (p.grad.defined()) p.value.mutable_grad() = p.grad;
  }
}

void TrainModel::refresh() {
  const at::NoGradGuard no_grad;
  for (const auto& block : blocks_) block->refresh();
  embedding_norm_.refresh();
  final_norm_.refresh();
  output_.refresh();
  if (!tied_ && embedding_parameter_ != nullptr) embedding_.copy_(embedding_parameter_->value);
}

void TrainModel::start_virtual_tokens(const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  refresh();
  Batch text;
  text.ids = ids;
  for (size_t i = 0; i < ids.size(); ++i) text.positions.push_back(static_cast<int32_t>(i));
  text.document_begin = {0, text.size()};
  if (virtual_rows_.prompt()) {
    const at::Tensor table = tied_ ? output_.weight().slice(1, 0, spec_.hidden_size) : embedding_;
    virtual_rows_.parameter()->value.copy_(table.index_select(0, index_tensor(ids)) *
                                           spec_.embedding_scale);
    return;
  }
  virtual_rows_.record(true);
  const PassContext pass{text, ropes_, virtual_rows_};
  at::Tensor x = embed(text);
  for (const auto& block : blocks_) x = block->forward(x, pass, nullptr);
  virtual_rows_.record(false);
}

void TrainModel::for_each_linear(const std::function<void(Linear&)>& f) {
  for (const auto& block : blocks_) block->for_each_linear(f);
  f(output_);
}

ActivationBytes TrainModel::activation_bytes() const {
  ActivationBytes a;
  const auto e = static_cast<int64_t>(c10::elementSize(options_.compute));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const BlockBytes b = blocks_[i]->bytes_per_token();
    a.inputs += e * spec_.hidden_size;
    a.largest_kept = std::max(a.largest_kept, b.kept);
    a.scratch = std::max(a.scratch, b.scratch);
    if (!needs_backward(i)) continue;
    a.kept += b.kept;
    if (blocks_[i]->is_mlp()) a.kept_by_mlp += b.kept;
  }
  return a;
}

int64_t TrainModel::head_bytes() const {
  const auto e = static_cast<int64_t>(c10::elementSize(options_.compute));
  return e * kHeadChunk * (spec_.vocab_size + 2 * spec_.hidden_size);
}

int64_t TrainModel::block_grad_bytes() const {
  const auto bytes = [&](size_t first, size_t last) {
    int64_t n = 0;
    for (size_t i = first; i < last; ++i) n += parameters_.all()[i].value.numel() * 4;
    return n;
  };
  int64_t most = 0;
  for (size_t i = 0; i < blocks_.size(); ++i)
    most = std::max(most, bytes(block_parameters_[i], block_parameters_[i + 1]));
  return most + bytes(0, block_parameters_.front()) +
         bytes(block_parameters_.back(), parameters_.all().size());
}

at::Tensor TrainModel::embed(const Batch& batch) const {
  const at::Tensor table = tied_ ? output_.weight().slice(1, 0, spec_.hidden_size) : embedding_;
  at::Tensor x = table.index_select(0, index_tensor(batch.ids));
  if (spec_.embedding_scale != 1.0f) x.mul_(spec_.embedding_scale);
  if (virtual_rows_.prompt() && batch.n_virtual > 0) virtual_rows_.place_rows(batch, x);
  if (positions_.defined()) {
    std::vector<int64_t> at(batch.positions.begin(), batch.positions.end());
    for (int64_t& p : at) p += spec_.position_offset;
    x.add_(positions_.index_select(0, index_tensor(at)));
  }
  return embedding_norm_.plain(x);
}

at::Tensor TrainModel::states_with_target(const at::Tensor& x, const Batch& batch) const {
  return x.index_select(0, index_tensor(batch.from));
}

LossSums TrainModel::step(const Batch& batch, float weight, uint64_t noise_seed,
                          std::optional<uint64_t> draw_seed, const OnGradients& on_gradients) {
  const at::NoGradGuard no_grad;
  const PassContext pass{batch, ropes_, virtual_rows_};
  std::vector<at::Tensor> inputs;
  std::vector<Saved> saved(blocks_.size());
  at::Tensor x = embed(batch);
  if (options_.neftune > 0) add_noise(x, batch, options_.neftune, noise_seed);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    inputs.push_back(x);
    const bool keep = needs_backward(i) && !recomputed(i);
    x = blocks_[i]->forward(x, pass, keep ? &saved[i] : nullptr);
  }
  const at::Tensor rows = states_with_target(x, batch);
  x = at::Tensor();
  at::Tensor normed = final_norm_.is_rms() ? at::empty_like(rows) : final_norm_.plain(rows);
  at::Tensor rstd = at::empty({rows.size(0)}, at::kFloat);
  if (final_norm_.is_rms()) final_norm_.forward(rows, normed, &rstd);
  if (parameters_.grads_by_block()) {
    parameters_.open_grads(0, block_parameters_.front());
    parameters_.open_grads(block_parameters_.back(), parameters_.all().size());
  }
  at::Tensor d_normed;
  const LossSums sums =
      head_loss(output_, options_.loss, normed, batch.target, weight, &d_normed, draw_seed);
  at::Tensor d_rows = at::zeros_like(rows);
  if (final_norm_.is_rms()) {
    final_norm_.backward(d_normed, rows, rstd, d_rows);
  } else {
    const at::AutoGradMode grad(true);
    const at::Tensor leaf = rows.detach().requires_grad_(true);
    final_norm_.plain(leaf).backward(d_normed);
    d_rows = leaf.grad();
  }
  at::Tensor dx = at::zeros_like(inputs.back());
  dx.index_copy_(0, index_tensor(batch.from), d_rows);
  dx = backward(pass, std::move(dx), inputs, saved, on_gradients);
  if (embedding_trained_) embedding_grad(batch, dx);
  if (parameters_.grads_by_block()) {
    on_gradients(0, block_parameters_.front());
    on_gradients(block_parameters_.back(), parameters_.all().size());
    parameters_.close_grads(0, block_parameters_.front());
    parameters_.close_grads(block_parameters_.back(), parameters_.all().size());
  }
  return sums;
}

// From the gradient of the last block's result to that of the embeddings.
at::Tensor TrainModel::backward(const PassContext& pass, at::Tensor dx,
                                std::vector<at::Tensor>& inputs, std::vector<Saved>& saved,
                                const OnGradients& on_gradients) {
  for (size_t i = blocks_.size(); i-- > 0 && needs_backward(i);) {
    const size_t first = block_parameters_[i], last = block_parameters_[i + 1];
    if (parameters_.grads_by_block()) parameters_.open_grads(first, last);
    if (recomputed(i)) blocks_[i]->forward(inputs[i], pass, &saved[i]);
    dx = blocks_[i]->backward(inputs[i], std::move(dx), pass, saved[i], needs_input_grad(i));
    saved[i].clear();
    inputs[i] = at::Tensor();
    if (!parameters_.grads_by_block()) continue;
    on_gradients(first, last);
    parameters_.close_grads(first, last);
  }
  return dx;
}

void TrainModel::embedding_grad(const Batch& batch, const at::Tensor& dx) {
  at::Tensor d = dx;
  if (embedding_norm_.exists()) {
    const at::AutoGradMode grad(true);
    const at::Tensor table = tied_ ? output_.weight().slice(1, 0, spec_.hidden_size) : embedding_;
    const at::Tensor leaf =
        table.detach().index_select(0, index_tensor(batch.ids)).requires_grad_(true);
    embedding_norm_.plain(leaf * spec_.embedding_scale).backward(dx);
    d = leaf.grad() / spec_.embedding_scale;
  }
  d = d.to(at::kFloat);
  if (virtual_rows_.prompt()) virtual_rows_.add_row_grads(batch, d);
  if (positions_parameter_ != nullptr) {
    std::vector<int64_t> at(batch.positions.begin(), batch.positions.end());
    for (int64_t& p : at) p += spec_.position_offset;
    positions_parameter_->grad.index_add_(0, index_tensor(at), d);
  }
  if (embedding_parameter_ != nullptr)
    embedding_parameter_->grad.index_add_(0, index_tensor(batch.ids), d, spec_.embedding_scale);
}

LossSums TrainModel::evaluate(const Batch& batch) {
  const at::NoGradGuard no_grad;
  const PassContext pass{batch, ropes_, virtual_rows_};
  at::Tensor x = embed(batch);
  for (const auto& block : blocks_) x = block->forward(x, pass, nullptr);
  const at::Tensor normed = final_norm_.plain(states_with_target(x, batch));
  return head_loss(output_, options_.loss, normed, batch.target, 0.0f, nullptr);
}

at::Tensor TrainModel::logits(const Batch& batch) {
  const at::NoGradGuard no_grad;
  const PassContext pass{batch, ropes_, virtual_rows_};
  at::Tensor x = embed(batch);
  for (const auto& block : blocks_) x = block->forward(x, pass, nullptr);
  at::Tensor z = output_.plain(final_norm_.plain(x)).to(at::kFloat) * spec_.logit_scale;
  if (spec_.logit_softcap > 0) z = (z / spec_.logit_softcap).tanh() * spec_.logit_softcap;
  return z;
}

}  // namespace lm::train
