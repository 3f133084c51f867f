// Rows before the first token of each document: embeddings (prompt tuning, Lester et al. 2021,
// arXiv:2104.08691), or keys and values of every layer (prefix tuning, Li & Liang 2021,
// arXiv:2101.00190). They are rows of the batch (Batch::n_virtual of each document); under a prefix
// what the layers compute for them is thrown away.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/formats/adapter.h"
#include "engine/models/model_spec.h"
#include "engine/train/batch.h"
#include "engine/train/parameters.h"

namespace lm::train {

class VirtualRows {
 public:
  VirtualRows() = default;
  // Adds the parameter [n, width]. Throws unsupported for a prefix where layers differ.
  VirtualRows(VirtualTokens::Kind kind, int64_t n, const ModelSpec& spec, ParameterSet* parameters);

  bool prompt() const { return kind_ == VirtualTokens::Kind::prompt; }
  bool prefix() const { return kind_ == VirtualTokens::Kind::prefix; }
  Parameter* parameter() const { return parameter_; }
  // The trained numbers as an adapter has them.
  VirtualTokens values() const;

  // Prompt: puts the rows into x [T, C]; adds the gradient of the rows.
  void place_rows(const Batch& batch, at::Tensor& x) const;
  void add_row_grads(const Batch& batch, const at::Tensor& dx) const;

  // Prefix, attention number `layer`: puts keys and values into the last columns of qkv [T, W];
  // takes their gradient out of that of qkv, where it leaves zeros.
  void place_keys(const Batch& batch, int64_t layer, at::Tensor& qkv) const;
  void take_key_grads(const Batch& batch, int64_t layer, at::Tensor& dqkv) const;
  // While it is on, the batch is one text of n tokens, whose keys and values become the prefix:
  // first values for training.
  void record(bool on) { recording_ = on; }
  bool recording() const { return recording_; }
  // For autograd: keys (which 0) or values (1) of a layer, [n, heads, size].
  at::Tensor plain(int64_t layer, int64_t which) const;

 private:
  at::Tensor layer_columns(const at::Tensor& all, int64_t layer) const;

  VirtualTokens::Kind kind_ = VirtualTokens::Kind::none;
  int64_t n_ = 0, n_layers_ = 0, n_heads_ = 0, key_width_ = 0;
  bool recording_ = false;
  Parameter* parameter_ = nullptr;
};

}  // namespace lm::train
