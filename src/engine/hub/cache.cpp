#include "engine/hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/hub/blob_name.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

std::string folder_name(const std::string& id) {
  std::string name = "models--" + id;
  if (const size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return name;
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  LM_CHECK(!error, ErrorCode::io, "cannot create the folder \"{}\": {}", path, error.message());
}

void write_text(const std::string& path, const std::string& text) {
  write_file_atomic(path, std::as_bytes(std::span(text)));
}

}  // namespace

HubCache::HubCache(const HubRepo& r, const HubSettings& settings)
    : root(settings.cache),
      repo(root + "/" + folder_name(r.id)),
      locks(root + "/.locks/" + folder_name(r.id)) {
  check_hub_repo(r);
}

std::string HubCache::commit_of(const std::string& revision) const {
  if (is_hex(revision, 40)) return revision;
  const std::string path = repo + "/refs/" + revision;
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return "";
  std::string commit = read_file(path, 4096);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())))
    commit.pop_back();
  return is_hex(commit, 40) ? commit : "";
}

void HubCache::set_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  const std::string path = repo + "/refs/" + revision;
  make_folder(fs::path(path).parent_path().string());
  write_text(path, commit);
}

void HubCache::link(const std::string& commit, const std::string& path,
                    const std::string& etag) const {
  const fs::path at = snapshot(commit) + "/" + path;
  make_folder(at.parent_path().string());
  std::string target = "../../blobs/" + etag;
  for (const char c : path)
    if (c == '/') target.insert(0, "../");
  std::error_code error;
  if (fs::read_symlink(at, error) == target && fs::exists(at, error)) return;
  // Beside the goal and renamed: a reader never sees the file missing.
  static std::atomic<int> counter{0};
  const fs::path temporary = at.string() + fmt::format(".link-{}-{}", ::getpid(), ++counter);
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (error) {
    fs::rename(blob(etag), at, error);
    LM_CHECK(!error, ErrorCode::io, "cannot create \"{}\": {}", at.string(), error.message());
    return;
  }
  fs::rename(temporary, at, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  raise(ErrorCode::io, "cannot create \"{}\": {}", at.string(), error.message());
}

void HubCache::make_folders(const std::string& commit) const {
  make_folder(repo + "/blobs");
  make_folder(locks);
  make_folder(snapshot(commit));
  const std::string tag = root + "/CACHEDIR.TAG";
  std::error_code none;
  if (!fs::exists(tag, none))
    write_text(tag,
               "Signature: 8a477f597d28d172789f06886806bc55\n"
               "# A cache of models from the Hugging Face Hub. See https://bford.info/cachedir/\n");
}

BlobLock::BlobLock(const std::string& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  LM_CHECK(fd_ >= 0, ErrorCode::io, "cannot open the lock \"{}\": {}", path, std::strerror(errno));
}

BlobLock::~BlobLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool BlobLock::try_lock() {
  return ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

std::optional<HubSnapshot> cached_hub_snapshot(const HubRepo& r, const HubSettings& settings) {
  const HubCache cache(r, settings);
  HubSnapshot out;
  out.commit = cache.commit_of(r.revision);
  out.folder = cache.snapshot(out.commit);
  std::error_code error;
  if (out.commit.empty() || !fs::is_directory(out.folder, error)) return std::nullopt;
  for (fs::recursive_directory_iterator it(out.folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code missing;
    const uintmax_t size = fs::file_size(it->path(), missing);
    if (missing || it->is_directory(missing)) continue;  // also links whose blob is gone
    HubFile file;
    file.path = it->path().lexically_relative(out.folder).generic_string();
    file.size = static_cast<int64_t>(size);
    const fs::path target = fs::read_symlink(it->path(), missing);
    if (!missing) file.etag = target.filename().string();
    out.files.push_back(std::move(file));
  }
  LM_CHECK(!error, ErrorCode::io, "\"{}\": {}", out.folder, error.message());
  std::sort(out.files.begin(), out.files.end(),
            [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return out;
}

}  // namespace lm
