// Rows of tokens, one after the other: in memory, or in a file of the cache that is mapped, so that
// data larger than memory are read from disk as they are needed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/mapped_file.h"
#include "engine/core/output_file.h"
#include "engine/data/token_row.h"

namespace lm {

// What became of the rows that were read.
struct ReadCounts {
  int64_t n_examples = 0, n_bad = 0, n_untrained = 0, n_cut = 0, n_dropped = 0;
  std::string format;                 // of the first row
  std::vector<std::string> problems;  // the first bad rows: "file:line: what"
  void add(const ReadCounts& other);
};

class TokenStore {
 public:
  int64_t n_rows() const { return static_cast<int64_t>(table_.size()); }
  RowView row(int64_t i) const;
  const ReadCounts& counts() const { return counts_; }
  uint32_t hash() const { return hash_; }                   // CRC-32 of all ids and marks
  const std::string& path() const { return file_.path(); }  // empty: in memory

 private:
  friend class TokenStoreWriter;
  friend std::shared_ptr<const TokenStore> open_token_store(const std::string&, std::string_view);
  struct Entry {
    uint64_t offset = 0;  // of n ids of four bytes; n marks of one byte follow
    uint32_t n = 0, n_trained = 0;
  };
  std::span<const std::byte> bytes() const {
    return file_.path().empty() ? memory_ : file_.bytes();
  }

  std::vector<std::byte> memory_;
  MappedFile file_;
  std::vector<Entry> table_;
  ReadCounts counts_;
  uint32_t hash_ = 0;
};

// Collects rows. path: the file to write, which appears whole with finish() or not at all; empty:
// they stay in memory. key: what the rows were made of and how; see open_token_store.
class TokenStoreWriter {
 public:
  TokenStoreWriter(const std::string& path, std::string key);
  void add(const RowView& row);
  int64_t n_rows() const { return store_->n_rows(); }
  // Throws io.
  std::shared_ptr<const TokenStore> finish(ReadCounts counts);

 private:
  void put(std::span<const std::byte> bytes);
  std::string key_;
  std::unique_ptr<OutputFile> file_;
  std::shared_ptr<TokenStore> store_;
  uint64_t size_ = 0;
};

// The rows of such a file; null when there is none, when it was made of other data or otherwise, or
// when it is damaged.
std::shared_ptr<const TokenStore> open_token_store(const std::string& path, std::string_view key);

}  // namespace lm
