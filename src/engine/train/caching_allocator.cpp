#include "engine/train/caching_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "engine/core/error.h"

namespace lm::train {
namespace {

constexpr size_t kHeader = 64;              // keeps tensors aligned; holds the block's size
constexpr size_t kSmall = size_t{1} << 16;  // up to here malloc does as well
constexpr size_t kHuge = size_t{1} << 22;   // from here large pages are asked for

// Sizes in eighths of a power of two, so that passes of about the same length share blocks.
size_t rounded(size_t n) {
  const size_t step = std::max<size_t>(4096, std::bit_floor(n) / 8);
  return (n + step - 1) / step * step;
}

class Cache {
 public:
  void* take(size_t n) {
    size_t size = n + kHeader <= kSmall ? n + kHeader : rounded(n + kHeader);
    std::byte* block = size <= kSmall ? small(size) : large(&size);
    LM_CHECK(block != nullptr, ErrorCode::out_of_memory,
             "training: {} bytes more cannot be had; a smaller batch_size or max_length, recompute "
             "= \"all\" or a smaller rank needs less",
             n);
    std::memcpy(block, &size, sizeof size);
    return block + kHeader;
  }

  void give(void* data) {
    auto* block = static_cast<std::byte*>(data) - kHeader;
    size_t size;
    std::memcpy(&size, block, sizeof size);
    const std::lock_guard lock(mutex_);
    stats_.live -= static_cast<int64_t>(size);
    if (size <= kSmall) return std::free(block);
    free_[size].push_back({block, ++clock_});
    stats_.cached += static_cast<int64_t>(size);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    release_locked(stats_.cached);
  }
  AllocatorStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.live;
  }

 private:
  void count(size_t size) {
    stats_.live += static_cast<int64_t>(size);
    stats_.peak = std::max(stats_.peak, stats_.live);
  }

  std::byte* small(size_t size) {
    auto* block = static_cast<std::byte*>(std::aligned_alloc(64, (size + 63) / 64 * 64));
    const std::lock_guard lock(mutex_);
    if (block != nullptr) count(size);
    return block;
  }

  std::byte* large(size_t* size) {
    const std::lock_guard lock(mutex_);
    // A block up to a quarter larger will do; taking much larger ones leaves none for their own
    // size, and every step would map some anew.
    const auto it = free_.lower_bound(*size);
    std::byte* block = nullptr;
    if (it != free_.end() && it->first <= *size + *size / 4) {
      *size = it->first;
      block = it->second.back().data;
      it->second.pop_back();
      if (it->second.empty()) free_.erase(it);
      stats_.cached -= static_cast<int64_t>(*size);
    } else {
      // What lies idle must not make the process larger than its tensors ever were at once.
      const auto n = static_cast<int64_t>(*size);
      release_locked(stats_.live + stats_.cached + n - stats_.peak - stats_.peak / 16);
      block = map(*size);
    }
    if (block != nullptr) count(*size);
    return block;
  }

  static std::byte* map(size_t size) {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    if (size >= kHuge) madvise(p, size, MADV_HUGEPAGE);
    return static_cast<std::byte*>(p);
  }

  // Unmaps idle blocks, the longest idle first (each step uses the others again), until at least
  // so many bytes are gone.
  void release_locked(int64_t bytes) {
    while (bytes > 0 && !free_.empty()) {
      auto oldest = free_.begin();
      for (auto it = free_.begin(); it != free_.end(); ++it)
        if (it->second.front().since < oldest->second.front().since) oldest = it;
      munmap(oldest->second.front().data, oldest->first);
      bytes -= static_cast<int64_t>(oldest->first);
      stats_.cached -= static_cast<int64_t>(oldest->first);
      oldest->second.pop_front();
      if (oldest->second.empty()) free_.erase(oldest);
    }
  }

  struct Idle {
    std::byte* data;
    uint64_t since;  // clock_ when it was given back
  };

  std::mutex mutex_;
  std::map<size_t, std::deque<Idle>> free_;  // by size, the longest idle first
  uint64_t clock_ = 0;
  AllocatorStats stats_;
};

// Never destroyed: tensors in static objects of libtorch may outlive everything.
Cache& cache() {
  static auto* instance = new Cache;
  return *instance;
}

// oneDNN gives back null pointers, too.
void give_back(void* data) {
  if (data != nullptr) cache().give(data);
}

class CachingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    void* data = n > 0 ? cache().take(n) : nullptr;
    return {data, data, n > 0 ? &give_back : nullptr, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t n) const override {
    default_copy_data(to, from, n);
  }
};

}  // namespace

void install_caching_allocator() {
  static CachingAllocator allocator;
  static const bool once = [] {
    c10::SetCPUAllocator(&allocator, /*priority=*/100);
    return true;
  }();
  (void)once;
}

AllocatorStats allocator_stats() {
  return cache().stats();
}
void reset_allocator_peak() {
  cache().reset_peak();
}
void release_cached_memory() {
  cache().release();
}

}  // namespace lm::train
