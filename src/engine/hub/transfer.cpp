#include "engine/hub/transfer.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

#include "engine/core/socket_guard.h"
#include "engine/hub/partial_file.h"
#include "engine/hub/transfer_meter.h"
#include "engine/hub/watched_threads.h"

namespace lm {
namespace {

constexpr uint64_t kRealProgress = 64 << 10;  // fewer bytes between failures do not count
constexpr auto kSaveEvery = std::chrono::seconds(2);

// One file on its way.
struct Job {
  explicit Job(Transfer t) : transfer(std::move(t)) {}
  Transfer transfer;
  std::unique_ptr<PartialFile> file;
  size_t parts_left = 0;
  bool begun = false;         // the first answer has come: the other parts may be asked for
  std::optional<Url> direct;  // where the redirects ended
};

struct Task {
  Job* job;
  PartialFile::Part* part;
};

struct ContentRange {
  uint64_t first = 0, last = 0, total = 0;
};

// "bytes 0-99/1000"
std::optional<ContentRange> parse_range(std::string_view text) {
  ContentRange r;
  if (!text.starts_with("bytes ")) return std::nullopt;
  const char *at = text.data() + 6, *end = text.data() + text.size();
  const auto number = [&](uint64_t* value, char after) {
    const auto [next, error] = std::from_chars(at, end, *value);
    if (error != std::errc() || (after != 0 ? next == end || *next != after : next != end))
      return false;
    at = next + (after != 0 ? 1 : 0);
    return true;
  };
  if (!number(&r.first, '-') || !number(&r.last, '/') || !number(&r.total, '\0'))
    return std::nullopt;
  return r;
}

class Transfers {
 public:
  Transfers(std::vector<Transfer> transfers, const SessionOptions& session,
            const DownloadOptions& options)
      : session_(session), options_(options) {
    for (Transfer& t : transfers) jobs_.emplace_back(std::move(t));
  }

  void run() {
    open_all();
    const auto n = static_cast<size_t>(std::max(1, options_.connections));
    std::vector<std::function<void()>> threads(n, [this] { work(); });
    auto saved = std::chrono::steady_clock::now();
    const auto tick = [&] {
      if (options_.progress) options_.progress(meter_.read());
      if (guard_.stopped() || std::chrono::steady_clock::now() - saved < kSaveEvery) return;
      saved = std::chrono::steady_clock::now();
      save_all();
    };
    try {
      run_watched(guard_, threads, tick);
    } catch (const std::exception&) {
      save_all();  // for the next call
      throw;
    }
    if (options_.progress) options_.progress(meter_.read());
  }

 private:
  void open_all() {
    for (Job& job : jobs_) {
      const Transfer& t = job.transfer;
      job.file = std::make_unique<PartialFile>(t.partial, t.size,
                                               static_cast<uint64_t>(options_.part_bytes));
      meter_.expect(t.size, job.file->done());
      count_parts(job);
      push_first(job);
    }
    unfinished_ = jobs_.size();
  }

  void count_parts(Job& job) {
    auto& parts = job.file->parts();
    job.parts_left = static_cast<size_t>(
        std::count_if(parts.begin(), parts.end(), [](const auto& p) { return p.left() > 0; }));
  }

  // One part goes ahead: its answer tells whether the server sends ranges.
  void push_first(Job& job) {
    for (auto& part : job.file->parts())
      if (part.left() > 0) return queue_.push_back({&job, &part});
    queue_.push_back({&job, nullptr});  // all there, or empty: only to be checked
  }

  void push_rest(Job& job, const PartialFile::Part* first) {
    for (auto& part : job.file->parts())
      if (&part != first && part.left() > 0) queue_.push_back({&job, &part});
    changed_.notify_all();
  }

  void save_all() {
    const std::lock_guard lock(mutex_);
    for (Job& job : jobs_)
      if (job.file) job.file->save();
  }

  // --- On the threads of the transfers.

  std::optional<Task> next() {
    std::unique_lock lock(mutex_);
    while (queue_.empty() && unfinished_ > 0 && !guard_.stopped())
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    if (queue_.empty() || guard_.stopped()) return std::nullopt;
    const Task task = queue_.front();
    queue_.pop_front();
    return task;
  }

  void work() {
    HttpSession session(session_, guard_);
    while (const auto task = next()) {
      if (task->part) fetch(session, *task);
      bool complete = !task->part;
      if (task->part) {
        const std::lock_guard lock(mutex_);
        complete = --task->job->parts_left == 0;
      }
      if (complete) finish(*task->job);
    }
  }

  void fetch(HttpSession& session, Task task) {
    uint64_t before = 0;
    try {
      with_retries(
          options_.retries, guard_,
          [&] {
            before = task.part->done;
            request(session, &task);
          },
          [&] { return task.part->done >= before + kRealProgress; });
    } catch (const Error& e) {
      if (e.code() == ErrorCode::interrupted) throw;
      std::string hint = e.hint();
      if (hint.empty() && is_transient(e)) hint = "call again: it goes on where it stopped";
      throw Error(e.code(), fmt::format("{}: {}", task.job->transfer.name, e.message()), hint);
    }
  }

  std::optional<Url> direct_url(const Job& job) {
    const std::lock_guard lock(mutex_);
    return job.direct;
  }

  void set_direct_url(Job& job, const Url& url) {
    const std::lock_guard lock(mutex_);
    job.direct = url;
  }

  void request(HttpSession& session, Task* task) {
    Job& job = *task->job;
    const auto direct = direct_url(job);
    HttpHeaders headers;
    const bool ranged = job.transfer.size && (job.file->parts().size() > 1 || task->part->done > 0);
    if (ranged)
      headers.emplace_back("Range", fmt::format("bytes={}-{}", task->part->begin + task->part->done,
                                                task->part->begin + task->part->size - 1));
    HttpSession::Handlers handlers;
    bool first_hop = !direct;
    Url at;
    handlers.on_hop = [&](const HttpReply& reply, const Url& url) {
      if (std::exchange(first_hop, false)) check_etag(job, reply);
      at = url;
    };
    handlers.on_headers = [&](const HttpReply& reply) {
      check_status(job, reply, direct.has_value());
      if (!at.same_origin(job.transfer.url)) set_direct_url(job, at);
      begin_part(task, reply, ranged);
    };
    handlers.on_data = [&](std::string_view data) {
      job.file->write(*task->part, data);
      meter_.add(data.size());
    };
    session.send("GET", direct.value_or(job.transfer.url), headers, handlers);
    if (!job.transfer.size) {  // the end of the answer is the end of the file
      task->part->size = task->part->done;
    } else if (task->part->left() > 0) {
      raise(ErrorCode::network, "the answer ended {} bytes early", task->part->left());
    }
  }

  static void check_etag(const Job& job, const HttpReply& reply) {
    if (job.transfer.etag.empty() || reply.status >= 400) return;
    const std::string_view linked = reply.header("x-linked-etag");
    const std::string etag = normal_etag(linked.empty() ? reply.header("etag") : linked);
    LM_CHECK(etag.empty() || etag == job.transfer.etag, ErrorCode::bad_file,
             "the server has another file than it listed: its ETag is \"{}\"; expected \"{}\"",
             etag, job.transfer.etag);
  }

  void check_status(Job& job, const HttpReply& reply, bool was_direct) {
    if (was_direct && reply.status >= 400 && reply.status < 500 && reply.status != 429) {
      // Signed addresses expire: the next attempt asks for a new one.
      const std::lock_guard lock(mutex_);
      job.direct.reset();
      throw RetryError(ErrorCode::network,
                       fmt::format("the address it redirected to answers {}", reply.status), 0);
    }
    if (job.transfer.check_status) job.transfer.check_status(reply);
    check_http_status(reply, job.transfer.url.origin_text());
  }

  // Looks at the answer's range; a server that sends none gets one part for the whole file.
  void begin_part(Task* task, const HttpReply& reply, bool ranged) {
    Job& job = *task->job;
    const std::lock_guard lock(mutex_);
    if (reply.status == 206) {
      const auto range = parse_range(reply.header("content-range"));
      const uint64_t wanted = task->part->begin + task->part->done;
      LM_CHECK(ranged && range && range->first == wanted, ErrorCode::bad_file,
               "asked for bytes from {} on, the server sends \"{}\"", wanted,
               reply.header("content-range"));
      LM_CHECK(range->total == *job.transfer.size, ErrorCode::bad_file,
               "the server's file has {} bytes; expected {}", range->total, *job.transfer.size);
    } else if (ranged) {
      if (job.begun && job.file->parts().size() > 1)
        throw RetryError(ErrorCode::network, "the server stopped sending ranges", -1);
      meter_.take_back(job.file->done());
      job.file->begin_anew();
      task->part = &job.file->parts().front();
      job.parts_left = 1;
    } else if (task->part->done > 0) {  // a retry without ranges
      meter_.take_back(task->part->done);
      task->part->done = 0;
    }
    const std::string_view length = reply.header("content-length");
    uint64_t bytes = 0;
    const auto parsed = std::from_chars(length.data(), length.data() + length.size(), bytes);
    if (reply.status == 200 && job.transfer.size && !length.empty() && parsed.ec == std::errc())
      LM_CHECK(bytes == *job.transfer.size, ErrorCode::bad_file,
               "the server's file has {} bytes; expected {}", bytes, *job.transfer.size);
    if (!std::exchange(job.begun, true)) push_rest(job, task->part);
  }

  void finish(Job& job) {
    const Transfer& t = job.transfer;
    check_hash(job, DigestKind::sha256, t.sha256, "SHA-256");
    check_hash(job, DigestKind::sha1, t.git_sha1, "git blob id");
    std::unique_ptr<PartialFile> file;
    {
      const std::lock_guard lock(mutex_);
      file = std::move(job.file);
    }
    file->commit(t.destination);
    if (t.on_done) t.on_done();
    const std::lock_guard lock(mutex_);
    --unfinished_;
    changed_.notify_all();
  }

  void check_hash(Job& job, DigestKind kind, const std::string& expected, const char* what) {
    if (expected.empty()) return;
    meter_.set_state("checking " + job.transfer.name);
    const auto digest = net_api().digest(kind);
    if (kind == DigestKind::sha1) {
      std::string head = fmt::format("blob {}", job.file->done());
      digest->update({head.c_str(), head.size() + 1});  // with the NUL
    }
    job.file->read([&](std::string_view bytes) {
      if (guard_.stopped()) throw Error(ErrorCode::interrupted, "interrupted");
      digest->update(bytes);
    });
    meter_.set_state("");
    const std::string got = digest->hex();
    if (got == expected) return;
    {
      const std::lock_guard lock(mutex_);
      job.file->remove();
      job.file.reset();
    }
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: its {} is {}; expected {}; the file was removed",
                            job.transfer.name, what, got, expected),
                "call again; if it stays so, the source or something between has changed the file");
  }

  const SessionOptions session_;
  const DownloadOptions options_;
  SocketGuard guard_;
  TransferMeter meter_;
  std::deque<Job> jobs_;
  std::mutex mutex_;  // guards the queue and the jobs' fields; parts belong to who fetches them
  std::condition_variable changed_;
  std::deque<Task> queue_;
  size_t unfinished_ = 0;
};

}  // namespace

std::string normal_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.starts_with('"')) etag.remove_prefix(1);
  if (etag.ends_with('"')) etag.remove_suffix(1);
  return std::string(etag);
}

void check_http_status(const HttpReply& reply, const std::string& what) {
  const int status = reply.status;
  if (status >= 200 && status < 300) return;
  if (status == 408 || status == 429 || status >= 500) {
    double after = -1;
    const std::string_view text = reply.header("retry-after");
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), after);
    if (text.empty() || parsed.ec != std::errc() || !(after >= 0)) after = -1;
    throw RetryError(ErrorCode::network,
                     status == 429 ? fmt::format("{}: too many requests (status 429)", what)
                                   : fmt::format("{} answers with status {}", what, status),
                     after);
  }
  if (status == 404 || status == 410)
    raise(ErrorCode::not_found, "{}: not found (status {})", what, status);
  if (status == 401 || status == 403)
    raise(ErrorCode::denied, "{}: access denied (status {})", what, status);
  raise(ErrorCode::denied, "{} answers with status {}", what, status);
}

void run_transfers(std::vector<Transfer> transfers, const SessionOptions& session,
                   const DownloadOptions& options) {
  if (!transfers.empty()) Transfers(std::move(transfers), session, options).run();
}

}  // namespace lm
