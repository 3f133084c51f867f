// Downloads of many files at once: parts of all files wait in one queue, a few threads each fetch
// one part at a time. Checks sizes and hashes before a file gets its name.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/hub.h"
#include "engine/hub/http_session.h"

namespace lm {

struct Transfer {
  std::string name;  // for messages
  Url url;
  std::optional<uint64_t> size;
  std::string etag;      // that the first answer must carry (X-Linked-Etag or ETag); "" for any
  std::string sha256;    // "" for none
  std::string git_sha1;  // of git's blob object with this content; "" for none
  std::string partial, destination;  // in folders of one file system
  std::function<void()> on_done;     // after the file has its name; on a thread of the transfers
  std::function<void(const HttpReply&)> check_status;  // throws for 4xx in the source's own words
};

// The entity tag without W/ and quotes.
std::string normal_etag(std::string_view etag);
// Throws what a status means, unless it is 2xx: RetryError for 408, 429 and 5xx.
void check_http_status(const HttpReply& reply, const std::string& what);

// Blocks until all files are there. The first error that retries do not cure ends all transfers;
// what arrived is kept. Throws that error, or interrupted.
void run_transfers(std::vector<Transfer> transfers, const SessionOptions& session,
                   const DownloadOptions& options);

}  // namespace lm
