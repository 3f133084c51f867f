#include "engine/formats/tensor_output.h"

#include <unordered_set>

#include "engine/core/error.h"

namespace lm {

uint64_t OutputTensor::size_bytes() const {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return static_cast<uint64_t>(dtype_bytes(dtype, n));
}

void check_unique_names(const std::vector<OutputTensor>& tensors) {
  std::unordered_set<std::string_view> names;
  for (const OutputTensor& t : tensors)
    LM_CHECK(names.insert(t.name).second, ErrorCode::bad_option, "tensor \"{}\" appears twice",
             t.name);
}

std::vector<size_t> split_ends(const std::vector<OutputTensor>& tensors, uint64_t max_bytes) {
  std::vector<size_t> ends;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t n = tensors[i].size_bytes();
    if (max_bytes > 0 && bytes > 0 && bytes + n > max_bytes) {
      ends.push_back(i);
      bytes = 0;
    }
    bytes += n;
  }
  ends.push_back(tensors.size());
  return ends;
}

TensorProgress::TensorProgress(const std::vector<OutputTensor>& tensors,
                               const WriteOptions& options)
    : options_(options) {
  for (const OutputTensor& t : tensors) total_ += t.size_bytes();
}

void TensorProgress::write(const OutputTensor& t, OutputFile* file) {
  const uint64_t before = file->size();
  t.write([&](std::span<const std::byte> bytes) {
    file->write(bytes);
    done_ += bytes.size();
    if (options_.progress) options_.progress(done_, total_);
  });
  LM_CHECK(file->size() - before == t.size_bytes(), ErrorCode::internal,
           "tensor \"{}\" gave {} bytes; {} were expected", t.name, file->size() - before,
           t.size_bytes());
}

}  // namespace lm
