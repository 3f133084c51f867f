// The Hub's repositories: lists them and fetches their files into the cache.
#include "engine/api/hub.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/hub/blob_name.h"
#include "engine/hub/cache.h"
#include "engine/hub/disk_space.h"
#include "engine/hub/transfer.h"
#include "engine/hub/watched_threads.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxListing = size_t{64} << 20;

SessionOptions session_of(const HubSettings& settings) {
  SessionOptions session;
  session.token = settings.token;
  session.token_origin = parse_url(settings.endpoint).origin_text();
  session.read_timeout_s = settings.read_timeout_s;
  return session;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return out;
}

[[noreturn]] void gated(const HubRepo& repo, const HubSettings& settings) {
  const std::string page = settings.endpoint + "/" + repo.id;
  const std::string what =
      fmt::format("\"{}\" is gated: its authors ask you to agree to their terms", repo.id);
  if (settings.token.empty())
    throw Error(
        ErrorCode::denied, what + ", and there is no token",
        fmt::format("agree at {}, make a read token at {}/settings/tokens, and set HF_TOKEN", page,
                    settings.endpoint));
  throw Error(
      ErrorCode::denied, what + "; your token has no access",
      fmt::format("agree at {} with the account of the token; some authors approve by hand", page));
}

// The errors of the Hub, by its header X-Error-Code, in words that say what to do.
void check_hub_status(const HttpReply& reply, const HubRepo& repo, const HubSettings& settings) {
  if (reply.status < 400) return;
  const std::string_view code = reply.header("x-error-code");
  const std::string message = printable(reply.header("x-error-message"));
  if (code == "GatedRepo") gated(repo, settings);
  if (code == "RevisionNotFound")
    throw Error(ErrorCode::not_found,
                fmt::format("\"{}\" has no revision \"{}\"", repo.id, repo.revision),
                fmt::format("its branches and tags: {}/{}/tree/main", settings.endpoint, repo.id));
  if (code == "EntryNotFound") raise(ErrorCode::not_found, "\"{}\" has no such file", repo.id);
  if (reply.status == 401 && message == "Invalid credentials in Authorization header")
    throw Error(ErrorCode::denied, fmt::format("{} refuses the token", settings.endpoint),
                fmt::format("make a new one at {}/settings/tokens and set HF_TOKEN, or unset it",
                            settings.endpoint));
  if (code == "RepoNotFound" || reply.status == 401)
    throw Error(
        ErrorCode::not_found,
        fmt::format("there is no model \"{}\" at {}, or it is private", repo.id, settings.endpoint),
        settings.token.empty() ? "check the name; for a private one set HF_TOKEN"
                               : "check the name, and whether the token may read it");
  if (reply.status == 403)
    raise(ErrorCode::denied, "\"{}\": access denied (status 403){}", repo.id,
          message.empty() ? "" : ": " + message);
  if (!message.empty() && reply.status < 500 && reply.status != 429)
    raise(ErrorCode::denied, "{} answers with status {}: {}", settings.endpoint, reply.status,
          message);
}

void check_online(const HubRepo& repo, const HubSettings& settings) {
  if (settings.offline)
    throw Error(ErrorCode::unsupported,
                fmt::format("\"{}\": offline mode, nothing is asked of the network", repo.id),
                "unset HF_HUB_OFFLINE");
}

Url file_url(const HubRepo& repo, const std::string& commit, const std::string& path,
             const HubSettings& settings) {
  return parse_url(fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, repo.id,
                               encode_url(commit, false), encode_url(path, true)));
}

// Some servers list names only: HEAD, without following the redirect to the storage, tells the
// rest.
void complete_file(HttpSession& session, const HubRepo& repo, const std::string& commit,
                   const HubSettings& settings, HubFile* file) {
  const auto final =
      session.send("HEAD", file_url(repo, commit, file->path, settings), {}, {}, false);
  const HttpReply& reply = final.reply;
  check_hub_status(reply, repo, settings);
  if (reply.status >= 400) check_http_status(reply, settings.endpoint);
  const std::string_view linked = reply.header("x-linked-etag");
  file->etag = normal_etag(linked.empty() ? reply.header("etag") : linked);
  LM_CHECK(is_blob_name(file->etag), ErrorCode::bad_file,
           "\"{}\": the server gives no usable ETag (\"{}\")", file->path, printable(file->etag));
  if (is_hex(file->etag, 64)) file->sha256 = file->etag;
  std::string_view size = reply.header("x-linked-size");
  if (size.empty() && reply.status == 200) size = reply.header("content-length");
  int64_t bytes = -1;
  const auto parsed = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (!size.empty() && parsed.ec == std::errc() && bytes >= 0) file->size = bytes;
}

Transfer transfer_of(const HubRepo& repo, const std::string& commit, const HubSettings& settings,
                     const HubCache& cache, const HubFile& file) {
  Transfer t;
  t.name = file.path;
  t.url = file_url(repo, commit, file.path, settings);
  if (file.size >= 0) t.size = static_cast<uint64_t>(file.size);
  t.etag = file.etag;
  t.sha256 = file.sha256;
  if (file.sha256.empty() && is_hex(file.etag, 40)) t.git_sha1 = file.etag;
  t.destination = cache.blob(file.etag);
  // Not "<etag>.incomplete": older versions of huggingface_hub would take one with gaps for whole.
  t.partial = t.destination + ".lmfast.incomplete";
  t.check_status = [repo, settings](const HttpReply& r) { check_hub_status(r, repo, settings); };
  return t;
}

// Waits for other processes that fetch the same file.
void wait_for(BlobLock& lock, const HubFile& file, SocketGuard& guard,
              const DownloadOptions& options) {
  while (!lock.try_lock()) {
    check_interrupt();
    DownloadProgress p;
    p.state = "another process is downloading " + file.path;
    if (options.progress) options.progress(p);
    guard.sleep(std::chrono::milliseconds(200));
  }
}

}  // namespace

HubListing list_hub_repo(const HubRepo& repo, const HubSettings& settings, int retries) {
  check_hub_repo(repo);
  check_online(repo, settings);
  const Url url =
      parse_url(fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings.endpoint, repo.id,
                            encode_url(repo.revision, false)));
  SocketGuard guard;
  std::string body;
  const auto ask = [&] {
    HttpSession session(session_of(settings), guard);
    with_retries(retries, guard, [&] {
      const auto final = session.get_text(url, kMaxListing, &body);
      check_hub_status(final.reply, repo, settings);
      check_http_status(final.reply, settings.endpoint);
    });
  };
  run_watched(guard, {ask});
  return parse_hub_listing(body, repo.id);
}

std::string fetch_hub_files(const HubRepo& repo, const HubListing& listing,
                            const HubSettings& settings, const DownloadOptions& options) {
  const HubCache cache(repo, settings);
  LM_CHECK(is_hex(listing.commit, 40), ErrorCode::bad_option, "\"{}\" is no commit",
           listing.commit);
  cache.make_folders(listing.commit);
  std::vector<HubFile> files = listing.files;
  SocketGuard guard;
  const auto complete = [&] {
    HttpSession session(session_of(settings), guard);
    for (HubFile& file : files) {
      LM_CHECK(is_safe_path(file.path), ErrorCode::bad_file, "\"{}\" is no safe path", file.path);
      if (!file.etag.empty() && file.size >= 0) continue;
      check_online(repo, settings);
      with_retries(options.retries, guard,
                   [&] { complete_file(session, repo, listing.commit, settings, &file); });
    }
  };
  run_watched(guard, {complete});

  // Files with the same content are one blob.
  std::map<std::string, std::vector<HubFile>> blobs;
  for (const HubFile& file : files) blobs[file.etag].push_back(file);
  std::vector<Transfer> transfers;
  std::vector<BlobLock> locks;
  SocketGuard pause;
  for (const auto& [etag, same] : blobs) {
    LM_CHECK(is_blob_name(etag), ErrorCode::bad_file, "\"{}\" is no name of a blob", etag);
    const auto link_all = [&cache, &listing, &names = same] {
      for (const HubFile& file : names) cache.link(listing.commit, file.path, file.etag);
    };
    if (!fs::exists(cache.blob(etag))) {
      BlobLock lock(cache.locks + "/" + etag + ".lock");
      wait_for(lock, same.front(), pause, options);
      if (!fs::exists(cache.blob(etag))) {
        check_online(repo, settings);
        transfers.push_back(transfer_of(repo, listing.commit, settings, cache, same.front()));
        transfers.back().on_done = link_all;
        locks.push_back(std::move(lock));
        continue;
      }
    }
    link_all();
  }
  std::sort(transfers.begin(), transfers.end(), [](const Transfer& a, const Transfer& b) {
    return a.size.value_or(0) < b.size.value_or(0);
  });
  check_disk_space(transfers, cache.repo);
  run_transfers(std::move(transfers), session_of(settings), options);
  cache.set_ref(repo.revision, listing.commit);
  return cache.snapshot(listing.commit);
}

}  // namespace lm
