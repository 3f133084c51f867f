// Turns named tensors into packed weights, checking names, shapes and types. Internal to models.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "engine/models/model_weights.h"

namespace lm {

class Packer {
 public:
  // measure: matrices are laid out and counted, but stay empty.
  Packer(const TensorFile& file, bool exact, bool measure)
      : file_(file), exact_(exact), measure_(measure), pool_(ThreadPool::instance()) {}

  // Stacks projections of one input of `cols` numbers; rows: the outputs of each. One part when
  // their kinds agree, else one part each.
  LinearWeights linear(const std::vector<LinearSpec>& specs, int64_t cols,
                       const std::vector<int64_t>& rows);
  MlpWeights mlp(const MlpSpec& spec, int64_t hidden);
  NormWeights norm(const NormSpec& spec, int64_t n);
  // A small tensor of n values as floats, whatever its shape; empty for an empty name.
  std::vector<float> vector(const std::string& name, int64_t n);

  const TensorView& find(const std::string& name) const;
  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  // A projection's weight with checked shape.
  PanelSource source(const LinearSpec& spec, int64_t rows, int64_t cols);

  int64_t n_params = 0, packed_bytes = 0;

 private:
  PanelKind kind_of(const PanelSource& s) const {
    return exact_ ? PanelKind::f32 : panel_kind_for(s.view.dtype);
  }
  PanelSource one_of(const TensorView& all, const LinearSpec& spec, int64_t rows, int64_t cols);
  std::shared_ptr<const PanelMatrix> pack(const std::vector<PanelSource>& sources, bool interleave);
  std::shared_ptr<const PanelMatrix> pack_once(const LinearSpec& spec, const PanelSource& source);
  bool gated(const MlpSpec& m, int64_t cols, LinearWeights* out);
  void describe(const LinearSpec& spec, int64_t rows, LinearWeights* out);
  void release(std::span<const std::byte> used) const;

  const TensorFile& file_;
  bool exact_, measure_;
  ThreadPool& pool_;
  std::deque<std::vector<std::byte>> plain_;  // of quantised matrices, until they are packed
  std::map<std::string, std::shared_ptr<const PanelMatrix>> whole_;  // by tensor
};

}  // namespace lm
