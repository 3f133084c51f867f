#include "runtime/history.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "runtime/char_width.h"

namespace lm {
namespace {

constexpr size_t kMaxEntryBytes = size_t{1}
                                  << 20;  // longer inputs (pasted data) stay in memory only
constexpr size_t kMaxFileBytes = size_t{64} << 20;  // the tail of a bigger file is read
constexpr size_t kShrinkAt = History::kMaxEntries + History::kMaxEntries / 2;

// An open, exclusively locked file; closed and unlocked at the end of the scope.
class LockedFile {
 public:
  LockedFile(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) return;
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
    ::fchmod(fd_, 0600);  // an older file may have been readable by others
  }
  ~LockedFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  explicit operator bool() const { return fd_ >= 0; }

  std::string read() const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    const off_t size = info.st_size;
    off_t at = std::max<off_t>(0, size - static_cast<off_t>(kMaxFileBytes));
    std::string bytes(static_cast<size_t>(size - at), '\0');
    size_t got = 0;
    while (got < bytes.size()) {
      const ssize_t n =
          ::pread(fd_, bytes.data() + got, bytes.size() - got, at + static_cast<off_t>(got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      got += static_cast<size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }
  bool write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool ends_with_newline() const {
    const off_t size = ::lseek(fd_, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && ::pread(fd_, &last, 1, size - 1) != 1) return true;
    return last == '\n';
  }
  void truncate() const { [[maybe_unused]] const int ignored = ::ftruncate(fd_, 0); }

 private:
  int fd_;
};

std::vector<std::string> parse(std::string_view bytes) {
  std::vector<std::string> entries;
  for (size_t i = 0; i < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', i), bytes.size());
    const std::string entry = sanitize_input(History::unescape(bytes.substr(i, end - i)));
    if (!entry.empty() && (entries.empty() || entries.back() != entry)) entries.push_back(entry);
    i = end + 1;
  }
  if (entries.size() > History::kMaxEntries)
    entries.erase(entries.begin(),
                  entries.end() - static_cast<std::ptrdiff_t>(History::kMaxEntries));
  return entries;
}

}  // namespace

std::string History::default_path() {
  if (const char* path = std::getenv("LMFAST_HISTORY")) return path;
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && *state) return std::string(state) + "/lmfast/history";
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.local/state/lmfast/history" : std::string();
}

std::string History::escape(std::string_view input) {
  std::string line;
  for (const char c : input) {
    if (c == '\\')
      line += "\\\\";
    else if (c == '\n')
      line += "\\n";
    else
      line += c;
  }
  return line;
}

std::string History::unescape(std::string_view line) {
  std::string input;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      input += line[i];
      continue;
    }
    ++i;
    if (line[i] == 'n')
      input += '\n';
    else if (line[i] == '\\')
      input += '\\';
    else
      (input += '\\') += line[i];
  }
  return input;
}

bool History::is_private(std::string_view input) {
  if (input.starts_with(' ')) return true;
  std::string
      packed;  // lower case without white space and quotes, so that `["token"] = ` is seen, too
  for (const char c : input)
    if (!std::isspace(static_cast<unsigned char>(c)) && c != '"' && c != '\'' && c != ']')
      packed += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view word : {"token", "api_key", "apikey", "password", "secret"}) {
    for (size_t at = packed.find(word); at != std::string::npos; at = packed.find(word, at + 1)) {
      const size_t after = at + word.size();
      const bool assigned = after < packed.size() && packed[after] == '=' &&
                            (after + 1 == packed.size() || packed[after + 1] != '=');
      const bool callback = at >= 3 && packed.compare(at - 3, 3, "on_") == 0;  // on_token = f
      if (assigned && !callback) return true;
    }
  }
  return false;
}

void History::load() {
  entries_.clear();
  if (path_.empty()) return;
  size_t lines = 0;
  {
    const LockedFile file(path_, O_RDONLY);
    if (!file) return;
    const std::string bytes = file.read();
    lines = static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    entries_ = parse(bytes);
  }
  if (lines > kShrinkAt) shrink_file();
}

// In place and under the lock: another shell that waits for the lock appends to the same file
// afterwards.
void History::shrink_file() const {
  const LockedFile file(path_, O_RDWR | O_APPEND);
  if (!file) return;
  std::string bytes;
  for (const std::string& entry : parse(file.read())) bytes += escape(entry) + "\n";
  file.truncate();
  file.write(bytes);
}

void History::add(const std::string& input) {
  const bool blank = input.find_first_not_of(" \t\n") == std::string::npos;
  if (blank || is_private(input)) return;
  if (!entries_.empty() && entries_.back() == input) return;
  entries_.push_back(input);
  if (entries_.size() > kMaxEntries) entries_.erase(entries_.begin());
  if (!path_.empty() && input.size() <= kMaxEntryBytes) append_to_file(input);
}

void History::append_to_file(const std::string& input) const {
  std::error_code none;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  if (!folder.empty() && std::filesystem::create_directories(folder, none))
    ::chmod(folder.c_str(), 0700);
  const LockedFile file(path_, O_RDWR | O_APPEND | O_CREAT);
  if (!file) return;
  const std::string line = escape(input) + "\n";
  file.write(file.ends_with_newline()
                 ? line
                 : "\n" + line);  // after half a line of a shell that was killed
}

}  // namespace lm
