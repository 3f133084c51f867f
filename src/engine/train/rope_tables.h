// Cosines and sines of rotary positions, made once for each kind of rotation and length.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "engine/models/model_spec.h"

namespace lm::train {

struct RopeTable {
  at::Tensor cos, sin;  // [positions, dim / 2], f32
};

class RopeTables {
 public:
  // The table of a rotation for documents of up to `longest` tokens. Valid until the next call with
  // a longer one.
  const RopeTable& get(const RopeSpec& rope, int64_t longest);

 private:
  struct Entry {
    std::vector<double> frequencies;
    float magnitude;
    RopeTable table;
  };
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace lm::train
