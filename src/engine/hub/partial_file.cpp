#include "engine/hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr char kMagic[] = "lmpart01";
constexpr uint64_t kMinPart = 1 << 16;
constexpr uint64_t kHeaderWords = 3;

}  // namespace

PartialFile::PartialFile(std::string path, std::optional<uint64_t> size, uint64_t part_size)
    : path_(std::move(path)), size_(size) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd_ < 0) fail("cannot create", errno);
  if (size_ && load()) return;
  if (::ftruncate(fd_, 0) != 0) fail("cannot empty", errno);
  lay_out(size_ ? std::max(part_size, kMinPart) : 0);
  reserve();
}

PartialFile::~PartialFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartialFile::fail(const char* what, int error) const {
  const int code = error;
  throw Error(ErrorCode::io, fmt::format("{} \"{}\": {}", what, path_, std::strerror(code)),
              code == ENOSPC || code == EDQUOT
                  ? "make room on the disk and call again; what is there already is kept"
                  : "");
}

void PartialFile::lay_out(uint64_t part_size) {
  parts_.clear();
  part_size_ = part_size;
  const uint64_t whole = size_.value_or(std::numeric_limits<uint64_t>::max());
  const uint64_t step = part_size == 0 ? whole : part_size;
  uint64_t begin = 0;
  do {
    Part& part = parts_.emplace_back();
    part.begin = begin;
    part.size = std::min(step, whole - begin);
    begin += part.size;
  } while (begin < whole);
}

void PartialFile::reserve() {
  // Only for what the file system does at once; others find out while writing.
  if (size_ && *size_ > 0 &&
      ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(*size_)) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
    const int error = errno;
    remove();
    fail("cannot reserve the space for", error);
  }
}

bool PartialFile::load() {
  struct stat info {};
  uint64_t header[kHeaderWords];
  if (::fstat(fd_, &info) != 0 || info.st_size < 0) return false;
  const auto file_size = static_cast<uint64_t>(info.st_size);
  if (file_size < *size_ + sizeof header ||
      read_at(*size_, reinterpret_cast<char*>(header), sizeof header) != sizeof header)
    return false;
  if (std::memcmp(header, kMagic, 8) != 0 || header[1] != *size_) return false;
  if (header[2] != 0 && header[2] < kMinPart) return false;
  lay_out(header[2]);
  std::vector<uint64_t> done(parts_.size());
  const size_t bytes = done.size() * sizeof(uint64_t);
  if (file_size != *size_ + sizeof header + bytes ||
      read_at(*size_ + sizeof header, reinterpret_cast<char*>(done.data()), bytes) != bytes)
    return false;
  for (size_t i = 0; i < done.size(); ++i) {
    if (done[i] > parts_[i].size) return false;
    parts_[i].done = done[i];
  }
  return this->done() > 0;
}

uint64_t PartialFile::done() const {
  uint64_t sum = 0;
  for (const Part& part : parts_) sum += part.done;
  return sum;
}

void PartialFile::begin_anew() {
  if (::ftruncate(fd_, 0) != 0) fail("cannot empty", errno);
  lay_out(0);
  reserve();
}

void PartialFile::write_at(uint64_t offset, std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("cannot write", n < 0 ? errno : EIO);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

size_t PartialFile::read_at(uint64_t offset, char* to, size_t n) const {
  size_t got = 0;
  while (got < n) {
    const ssize_t r = ::pread(fd_, to + got, n - got, static_cast<off_t>(offset + got));
    if (r < 0 && errno == EINTR) continue;
    if (r <= 0) fail("cannot read", r < 0 ? errno : EIO);
    got += static_cast<size_t>(r);
  }
  return got;
}

void PartialFile::write(Part& part, std::string_view bytes) {
  LM_CHECK(bytes.size() <= part.left(), ErrorCode::bad_file,
           "\"{}\": the server sends more than the {} bytes that were asked for", path_, part.size);
  write_at(part.begin + part.done, bytes);
  part.done += bytes.size();
}

void PartialFile::save() {
  if (!size_) return;
  std::vector<uint64_t> record(kHeaderWords);
  std::memcpy(record.data(), kMagic, 8);
  record[1] = *size_;
  record[2] = part_size_;
  for (const Part& part : parts_) record.push_back(part.done);
  write_at(*size_,
           {reinterpret_cast<const char*>(record.data()), record.size() * sizeof(uint64_t)});
}

void PartialFile::commit(const std::string& destination) {
  if (::ftruncate(fd_, static_cast<off_t>(done())) != 0 || ::fsync(fd_) != 0)
    fail("cannot write", errno);
  if (::rename(path_.c_str(), destination.c_str()) != 0) fail("cannot rename", errno);
  ::close(std::exchange(fd_, -1));
}

void PartialFile::remove() {
  ::unlink(path_.c_str());
}

}  // namespace lm
