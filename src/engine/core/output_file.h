// A file that appears whole or not at all: bytes go to a temporary name beside it, commit() syncs
// and renames. Without commit() nothing stays behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lm {

class OutputFile {
 public:
  // Creates the temporary file. Throws io with the system's reason (no such folder, read-only,
  // ...).
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Throws io (disk full, file too large).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void write_zeros(uint64_t n);
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // fsync, then rename over `path`, which others may read unless `mode` (permission bits) says
  // otherwise; until then only the owner may. Throws io.
  void commit(unsigned mode = 0644);

 private:
  [[noreturn]] void fail(const char* what, int error) const;
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace lm
