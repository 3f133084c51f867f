// Uninitialised, page-aligned memory straight from the kernel: zero until touched, counted only
// when touched, and backed by huge pages where the system allows it (fewer TLB misses when weights
// stream through a core).
#pragma once

#include <cstddef>
#include <utility>

namespace lm {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Throws out_of_memory naming the size.
  explicit AlignedBuffer(size_t size, bool huge_pages = false);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  // Keeps it in RAM: never swapped out. Throws out_of_memory where the system's limit is lower.
  void lock() const;
  std::byte* data() const { return data_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lm
