#include "engine/core/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/core/error.h"

namespace lm {

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".tmp-XXXXXX") {
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) fail("cannot create", errno);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void OutputFile::fail(const char* what, int error) const {
  raise(error == ENOENT ? ErrorCode::not_found : ErrorCode::io, "{} \"{}\": {}", what, path_,
        std::strerror(error));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    size_ += static_cast<uint64_t>(n);
  }
}

void OutputFile::write_zeros(uint64_t n) {
  static constexpr std::byte kZeros[4096] = {};
  while (n > 0) {
    const uint64_t part = std::min<uint64_t>(n, sizeof kZeros);
    write(std::span(kZeros, static_cast<size_t>(part)));
    n -= part;
  }
}

void OutputFile::commit(unsigned mode) {
  if (::fchmod(fd_, mode) != 0 || ::fsync(fd_) != 0) fail("cannot write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot write", errno);
  ::close(std::exchange(fd_, -1));
}

}  // namespace lm
