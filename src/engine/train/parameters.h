// The numbers that training changes.
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <string>
#include <vector>

namespace lm::train {

// value and grad are f32, contiguous and of one shape; grad is undefined while it is not kept.
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
  // Sum of the squared gradients of the parameters [first, last), in double, always in the same
  // order.
  double grad_squares(size_t first, size_t last) const;

  // Gradients are kept for all parameters at once, or, to save memory, opened and closed by those
  // who work on some of them (an optimizer in the backward pass). To be said before the first one
  // is added.
  void keep_grads_by_block() { by_block_ = true; }
  bool grads_by_block() const { return by_block_; }
  // Those that are kept become zero.
  void zero_grad();
  // Zeros for the parameters [first, last), where there is nothing yet; and nothing again.
  void open_grads(size_t first, size_t last);
  void close_grads(size_t first, size_t last);

 private:
  bool by_block_ = false;
  std::deque<Parameter> list_;
};

}  // namespace lm::train
