// A read-only file in memory, by mmap. Movable, not copyable; the bytes are valid while the object
// lives.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace lm {

class MappedFile {
 public:
  MappedFile() = default;
  // Maps a regular file. Throws not_found or io, naming the path and the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Lets the kernel drop the pages of [offset, offset + size); a later read brings them back from
  // disk.
  void release(size_t offset, size_t size) const;
  // Asks the kernel to read the whole file ahead.
  void will_need() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// The whole of a small text file. Throws not_found, io, or bad_file when it is larger than
// max_bytes.
std::string read_file(const std::string& path, size_t max_bytes = size_t{1} << 28);

// Writes to a temporary name beside `path`, syncs, then renames: readers see the old or the new
// file, never half of one. Throws io with the system's reason; nothing stays behind on failure.
void write_file_atomic(const std::string& path, std::span<const std::byte> bytes);

}  // namespace lm
