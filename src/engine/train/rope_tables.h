// Cosines and sines of rotary positions, made once for each kind of rotation.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "engine/models/model_spec.h"
#include "engine/train/batch.h"

namespace lm::train {

struct RopeTable {
  at::Tensor cos, sin;          // [rows, dim / 2], f32
  const int32_t* at = nullptr;  // [T] row of each token of the batch
};

class RopeTables {
 public:
  // The rotations of a batch's tokens. Each document turns by its own length, so that what is
  // packed beside it changes nothing. Valid until the next call.
  const RopeTable& get(const RopeSpec& rope, const Batch& batch);

 private:
  struct Entry {
    std::vector<double> frequencies;
    float magnitude;
    std::vector<int64_t> document_begin;  // of the batch it was made for; empty: for all
    std::vector<int32_t> rows;
    RopeTable table;
  };
  Entry& entry(const RopeSpec& rope, bool by_document);
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace lm::train
