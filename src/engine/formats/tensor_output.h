// What the writers of tensor files share: tensors that give their bytes when asked, and how they
// are divided among files.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/output_file.h"
#include "engine/core/tensor_view.h"

namespace lm {

// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<const std::byte>)>;

// A tensor to write. write(sink) must give exactly size_bytes() bytes, in pieces of any size.
struct OutputTensor {
  std::string name;
  DType dtype{};
  Shape shape;  // row-major
  std::function<void(const ByteSink& sink)> write;
  uint64_t size_bytes() const;
};

struct WriteOptions {
  uint64_t max_file_bytes = 0;  // tensor data of one file of several; 0: one file
  std::function<void(uint64_t done, uint64_t total)> progress;  // bytes of tensor data
};

// Throws bad_option when a name appears twice.
void check_unique_names(const std::vector<OutputTensor>& tensors);

// The ends of consecutive runs of tensors, each at most max_bytes unless one tensor alone is
// larger. At least one run.
std::vector<size_t> split_ends(const std::vector<OutputTensor>& tensors, uint64_t max_bytes);

// Writes tensors one after the other and reports the bytes done of all.
class TensorProgress {
 public:
  TensorProgress(const std::vector<OutputTensor>& tensors, const WriteOptions& options);
  // Throws internal when the tensor does not give its size, and what its write() throws.
  void write(const OutputTensor& tensor, OutputFile* file);

 private:
  const WriteOptions& options_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace lm
