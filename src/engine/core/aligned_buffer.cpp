#include "engine/core/aligned_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "engine/core/error.h"

namespace lm {

AlignedBuffer::AlignedBuffer(size_t size, bool huge_pages) : size_(size) {
  if (size == 0) return;
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LM_CHECK(p != MAP_FAILED, ErrorCode::out_of_memory, "cannot allocate {:.1f} MiB",
           static_cast<double>(size) / 1048576.0);
  if (huge_pages) ::madvise(p, size, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(p);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_) ::munmap(data_, size_);
}

void AlignedBuffer::lock() const {
  if (size_ == 0) return;
  LM_CHECK(::mlock(data_, size_) == 0, ErrorCode::out_of_memory,
           "cannot keep {:.1f} MiB in RAM: {}; `ulimit -l` says how much may be locked",
           static_cast<double>(size_) / 1048576.0, std::strerror(errno));
}

}  // namespace lm
