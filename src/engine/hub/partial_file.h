// A file that is being downloaded in parts and survives being broken off. Behind the content's
// place a record tells how much of each part is there:
//   content (size bytes) | "lmpart01" | u64 size | u64 part size | one u64 per part: bytes done
// Little-endian. Whether the content is right is for a hash to tell.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace lm {

class PartialFile {
 public:
  struct Part {
    uint64_t begin = 0, size = 0;
    std::atomic<uint64_t> done{0};
    uint64_t left() const { return size - done; }
  };

  // Opens what a broken-off download of the same size left, or begins anew. The whole size is
  // reserved on disk, where the file system can. Without a size there is one part without end, and
  // nothing is taken up again. Throws io (disk full, ...).
  PartialFile(std::string path, std::optional<uint64_t> size, uint64_t part_size);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const std::string& path() const { return path_; }
  std::optional<uint64_t> size() const { return size_; }
  uint64_t done() const;
  std::deque<Part>& parts() { return parts_; }
  // Makes one empty part of the whole file, for a server that sends no ranges.
  void begin_anew();
  // Appends to a part; the parts may be written by different threads.
  void write(Part& part, std::string_view bytes);
  // Writes the record. Another thread than the writers' may call it.
  void save();
  // Calls `sink` with the content, a piece at a time.
  template <typename Sink>
  void read(Sink&& sink) const;
  // The complete file gets its final name. Throws io.
  void commit(const std::string& destination);
  void remove();

 private:
  bool load();
  void lay_out(uint64_t part_size);
  void reserve();
  [[noreturn]] void fail(const char* what, int error) const;
  void write_at(uint64_t offset, std::string_view bytes) const;
  size_t read_at(uint64_t offset, char* to, size_t n) const;

  const std::string path_;
  const std::optional<uint64_t> size_;
  int fd_ = -1;
  uint64_t part_size_ = 0;
  std::deque<Part> parts_;
};

template <typename Sink>
void PartialFile::read(Sink&& sink) const {
  std::string buffer(size_t{1} << 20, '\0');
  for (uint64_t at = 0, end = done(); at < end;) {
    const size_t n = read_at(at, buffer.data(),
                             static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - at)));
    sink(std::string_view(buffer.data(), n));
    at += n;
  }
}

}  // namespace lm
