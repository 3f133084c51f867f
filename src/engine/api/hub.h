// The Hugging Face Hub and plain downloads: what is in a repository, files into the standard cache
// (shared with huggingface_hub), single files by address, members of wheels.
//
// Sources: the Hub's HTTP API (GET /api/models/{repo}/revision/{revision}?blobs=true, HEAD and GET
// /{repo}/resolve/{commit}/{path}), and the cache layout that huggingface_hub documents:
// models--org--name/{refs/<revision>, blobs/<etag>, snapshots/<commit>/<path> -> ../../blobs/...}.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

// From the environment, by the rules of huggingface_hub.
struct HubSettings {
  std::string endpoint;  // HF_ENDPOINT, without a slash at the end
  std::string token;     // HF_TOKEN, or the file HF_TOKEN_PATH ($HF_HOME/token); may be empty
  std::string cache;     // HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub
  bool offline = false;  // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
  double read_timeout_s = 30;  // HF_HUB_DOWNLOAD_TIMEOUT
};
HubSettings hub_settings();

struct HubRepo {
  std::string id;                 // "org/name", or "name" of the Hub's own
  std::string revision = "main";  // branch, tag or commit
};
// Throws bad_option when the name or the revision cannot be one.
void check_hub_repo(const HubRepo& repo);

struct HubFile {
  std::string path;    // below the repository; safe to append to a folder
  int64_t size = -1;   // bytes; -1: the server did not say
  std::string etag;    // the blob's name in the cache: SHA-256 (LFS) or git blob id; may be ""
  std::string sha256;  // of LFS files, else ""
};

struct HubListing {
  std::string commit;   // 40 hexadecimal digits
  std::string license;  // of the model card ("apache-2.0", "llama3.2", ...); "" when not stated
  std::string license_link;
  std::string gated;  // "", "auto" or "manual"
  std::vector<HubFile> files;
};
// The API's answer, checked: hostile names, hashes and sizes throw bad_file.
HubListing parse_hub_listing(std::string_view json, const std::string& name);
// Asks the Hub. Throws not_found (repository, revision), denied (gated, token), network, timeout,
// unsupported (offline mode), interrupted.
HubListing list_hub_repo(const HubRepo& repo, const HubSettings& settings, int retries);

struct DownloadProgress {
  int64_t done = 0,
          total = 0;       // bytes over all files, with what was there before; total 0: unknown
  double bytes_per_s = 0;  // over the last seconds
  double eta_s = -1;       // -1: unknown
  std::string state;       // what is going on besides transfers ("checking model.safetensors")
};

struct DownloadOptions {
  int connections = 4;            // at once, over all files
  int retries = 5;                // after failures without progress
  int64_t part_bytes = 32 << 20;  // larger files are fetched in parts of this size
  std::function<void(const DownloadProgress&)> progress;  // called on the calling thread
};

struct HubSnapshot {
  std::string folder, commit;
  std::vector<HubFile> files;  // that are there, sorted by path
};
// What the cache holds of a revision; nothing when it does not know the revision. No network.
std::optional<HubSnapshot> cached_hub_snapshot(const HubRepo& repo, const HubSettings& settings);

// Downloads what is missing of `listing.files` into the cache and returns the snapshot's folder.
// Files appear whole and checked or not at all; what a broken-off run fetched is kept for the next
// one. Throws like list_hub_repo, and io (disk full), bad_file (wrong hash or size: removed).
std::string fetch_hub_files(const HubRepo& repo, const HubListing& listing,
                            const HubSettings& settings, const DownloadOptions& options);

// Downloads one address to the file `to`; `sha256` may be empty. An existing file with that hash
// stays. Resumes what a broken-off run fetched. Throws like fetch_hub_files.
void download_file(const std::string& url, const std::string& to, const std::string& sha256,
                   const DownloadOptions& options);

// Whether a name from a foreign file or server may become a path below a folder of ours: relative,
// no empty, "." or ".." part, no backslash or control character, parts of at most 255 bytes, valid
// UTF-8.
bool is_safe_path(std::string_view path);

// SHA-256 of a file, in lower-case hexadecimal digits. Throws not_found, io, interrupted.
std::string file_sha256(const std::string& path);

}  // namespace lm
