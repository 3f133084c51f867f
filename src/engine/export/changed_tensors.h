// Tensors of a model with other values: adapters merged into them, or trained anew.
#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/models/open_model.h"

namespace lm {

class ChangedTensors {
 public:
  // Lets f change the values of a tensor of the file, as f32 [rows, cols] in the file's layout. The
  // result is kept as f32 where the file has f32, as bf16 where it has that, else as f16.
  void change(const TensorMap& file, const std::string& name,
              const std::function<void(std::span<float> values, int64_t cols)>& f);
  // Gives a tensor values and a shape of its own; kept as `change` keeps them.
  void set(const std::string& name, DType file_type, const std::vector<float>& values,
           const Shape& shape);
  // By GGUF's names; valid as long as the object.
  const TensorMap& views() const { return views_; }
  // The tensors of `file`, the changed ones in their place.
  TensorMap over(TensorMap file) const;

 private:
  TensorMap views_;
  std::deque<std::vector<std::byte>> storage_;
};

struct AdapterToMerge {
  std::string path;  // see open_adapter
  double scale = 1.0;
};

// W + scale B A, added in f32 and rounded once. Throws as open_adapter and fit_adapter do.
void merge_adapters(const OpenedModel& model, const std::vector<AdapterToMerge>& adapters,
                    ChangedTensors* out);

// Writes the model of `from` with these tensors as a Hugging Face folder. Throws as convert_model.
std::vector<std::string> write_changed_model(const std::string& from, const ChangedTensors& changed,
                                             const std::string& folder);

}  // namespace lm
