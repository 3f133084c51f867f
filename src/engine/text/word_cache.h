// The ids of recently seen short words, one cache per thread: language repeats its words, and a hit
// costs a hash and a compare of 64 bytes. Direct mapped; entries of other models lose by their
// serial.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/text/hash_tables.h"

namespace lm {

class WordCache {
 public:
  static constexpr size_t kMaxWord = 26, kMaxIds = 8;

  // Names a token model in the caches of all threads.
  static uint32_t next_serial() {
    static std::atomic<uint32_t> last{0};
    return ++last;
  }

  // Appends the ids of `word`, from the cache of this thread or else from compute(word, out).
  template <typename Compute>
  static void encode(std::string_view word, uint32_t serial, std::vector<int32_t>& out,
                     Compute&& compute) {
    if (word.size() > kMaxWord) {
      compute(word, out);
      return;
    }
    Entry& entry = of_this_thread().entry(word, serial);
    if (entry.serial == serial && entry.size == word.size() &&
        std::memcmp(entry.word, word.data(), word.size()) == 0) {
      out.insert(out.end(), entry.ids, entry.ids + entry.n_ids);
      return;
    }
    const size_t begin = out.size();
    compute(word, out);
    const size_t n = out.size() - begin;
    if (n > kMaxIds) return;
    entry.serial = serial;
    entry.size = static_cast<uint8_t>(word.size());
    entry.n_ids = static_cast<uint8_t>(n);
    std::memcpy(entry.word, word.data(), word.size());
    std::copy_n(out.begin() + static_cast<ptrdiff_t>(begin), n, entry.ids);
  }

 private:
  static constexpr size_t kEntries = 1 << 14;  // 1 MiB
  struct alignas(64) Entry {
    uint32_t serial = 0;
    uint8_t size = 0, n_ids = 0;
    char word[kMaxWord] = {};
    int32_t ids[kMaxIds] = {};
  };
  static WordCache& of_this_thread() {
    static thread_local WordCache cache;
    return cache;
  }
  Entry& entry(std::string_view word, uint32_t serial) {
    if (!entries_) entries_ = std::make_unique<Entry[]>(kEntries);
    return entries_[(hash_bytes(word) + serial) & (kEntries - 1)];
  }
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace lm
