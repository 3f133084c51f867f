// One file by its address.
#include <charconv>
#include <filesystem>

#include "engine/api/hub.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/mapped_file.h"
#include "engine/hub/blob_name.h"
#include "engine/hub/disk_space.h"
#include "engine/hub/transfer.h"
#include "engine/hub/watched_threads.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// What HEAD tells of the size; servers that do not answer it are asked by the download itself.
std::optional<uint64_t> probe_size(const Url& url, const DownloadOptions& options) {
  std::optional<uint64_t> size;
  SocketGuard guard;
  const auto ask = [&] {
    HttpSession session({}, guard);
    with_retries(options.retries, guard, [&] {
      const auto reply = session.send("HEAD", url, {}, {}).reply;
      if (reply.status == 404 || reply.status == 410 || reply.status == 429)
        check_http_status(reply, url.text());
      const std::string_view text = reply.header("content-length");
      uint64_t bytes = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), bytes);
      if (reply.status == 200 && !text.empty() && parsed.ec == std::errc()) size = bytes;
    });
  };
  run_watched(guard, {ask});
  return size;
}

}  // namespace

void download_file(const std::string& url, const std::string& to, const std::string& sha256,
                   const DownloadOptions& options) {
  LM_CHECK(sha256.empty() || is_hex(sha256, 64), ErrorCode::bad_option,
           "\"{}\" is no SHA-256; expected 64 hexadecimal digits in lower case", sha256);
  std::error_code error;
  if (!sha256.empty() && fs::is_regular_file(to, error) && file_sha256(to) == sha256) return;
  const fs::path folder = fs::path(to).parent_path();
  fs::create_directories(folder, error);
  LM_CHECK(folder.empty() || fs::is_directory(folder), ErrorCode::io,
           "cannot create the folder \"{}\": {}", folder.string(), error.message());
  Transfer t;
  t.url = parse_url(url);
  t.name = fs::path(to).filename().string();
  t.size = probe_size(t.url, options);
  t.sha256 = sha256;
  t.destination = to;
  t.partial = to + ".lmfast.incomplete";
  std::vector<Transfer> transfers;
  transfers.push_back(std::move(t));
  check_disk_space(transfers, folder.empty() ? "." : folder.string());
  run_transfers(std::move(transfers), {}, options);
}

std::string file_sha256(const std::string& path) {
  const MappedFile file(path);
  const auto digest = net_api().digest(DigestKind::sha256);
  const auto bytes = file.bytes();
  constexpr size_t kStep = size_t{4} << 20;
  for (size_t at = 0; at < bytes.size(); at += kStep) {
    check_interrupt();
    const size_t n = std::min(kStep, bytes.size() - at);
    digest->update({reinterpret_cast<const char*>(bytes.data()) + at, n});
  }
  return digest->hex();
}

}  // namespace lm
