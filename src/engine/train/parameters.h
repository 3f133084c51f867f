// The numbers that training changes.
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <string>
#include <vector>

namespace lm::train {

// value and grad are f32, contiguous and of one shape.
struct Parameter {
  std::string name;  // tensor name (GGUF's), for adapters with ".lora_a", ".lora_b" ... behind it
  at::Tensor value, grad;
  bool decay = true;      // weight decay applies: matrices
  float lr_scale = 1.0f;  // of the learning rate
};

class ParameterSet {
 public:
  // A new parameter with these first values (any float type; copied to f32). The address stays.
  Parameter* add(const std::string& name, const at::Tensor& value, bool decay);
  // One that shares memory with `value` (f32, contiguous).
  Parameter* adopt(const std::string& name, const at::Tensor& value, bool decay);

  std::deque<Parameter>& all() { return list_; }
  const std::deque<Parameter>& all() const { return list_; }
  int64_t numel() const;
  void zero_grad();
  // Square root of the sum of all squared gradients, summed in double, always in the same order.
  double grad_norm() const;

 private:
  std::deque<Parameter> list_;
};

}  // namespace lm::train
