// The layout of huggingface_hub's cache: paths, references, links and locks.
#pragma once

#include <string>
#include <utility>

#include "engine/api/hub.h"

namespace lm {

struct HubCache {
  HubCache(const HubRepo& repo, const HubSettings& settings);

  std::string root;   // of all repositories
  std::string repo;   // <root>/models--org--name
  std::string locks;  // <root>/.locks/models--org--name

  std::string blob(const std::string& etag) const { return repo + "/blobs/" + etag; }
  std::string snapshot(const std::string& commit) const { return repo + "/snapshots/" + commit; }
  // The commit that a revision means here; "" when the cache does not know it.
  std::string commit_of(const std::string& revision) const;
  // Writes refs/<revision>, unless the revision is the commit itself.
  void set_ref(const std::string& revision, const std::string& commit) const;
  // snapshots/<commit>/<path> becomes a relative link to the blob; where there are no links, the
  // blob itself moves there.
  void link(const std::string& commit, const std::string& path, const std::string& etag) const;
  // Makes the folders of blobs, locks and a snapshot, and CACHEDIR.TAG for backup programs.
  void make_folders(const std::string& commit) const;
};

// flock() on the lock file of a blob, as huggingface_hub does. Where files cannot be locked,
// nothing is.
class BlobLock {
 public:
  explicit BlobLock(const std::string& path);
  ~BlobLock();
  BlobLock(BlobLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  BlobLock& operator=(BlobLock&&) = delete;
  // False when another process holds it.
  bool try_lock();

 private:
  int fd_;
};

}  // namespace lm
