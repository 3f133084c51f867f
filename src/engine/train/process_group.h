// Processes that train one model together, each on its share of every step's rows (data parallel):
// torch's c10d over Gloo, started by torchrun or whatever else sets its variables.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/train/parameters.h"

namespace lm::train {

class ProcessGroup {
 public:
  // From RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT; a process alone where
  // WORLD_SIZE is absent or 1. Waits for the others. Throws bad_option for variables that are
  // missing or no numbers, io when the others cannot be reached.
  ProcessGroup();
  ~ProcessGroup();

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }
  int64_t local_size() const { return local_size_; }  // on this machine
  bool leads() const { return rank_ == 0; }           // writes the run's files

  // Each value or gradient becomes the sum over all processes; the same bits in each of them.
  void sum(std::span<double> values);
  // Those of the parameters [first, last).
  void sum_grads(ParameterSet& parameters, size_t first, size_t last);
  // What the leading process passes. Called by all, in the same order.
  std::string from_leader(const std::string& text);
  // Returns when all have called it.
  void wait_for_all();

 private:
  void sum_tensor(at::Tensor tensor);
  int64_t rank_ = 0, size_ = 1, local_size_ = 1, n_texts_ = 0;
  struct Links;  // c10d's store and process group
  std::unique_ptr<Links> links_;
};

}  // namespace lm::train
