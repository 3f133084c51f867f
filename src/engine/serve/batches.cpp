#include "engine/serve/batches.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/serve/api_error.h"
#include "engine/serve/call.h"
#include "engine/serve/field.h"
#include "engine/serve/files.h"
#include "engine/serve/http/worker_pool.h"
#include "engine/serve/local_exchange.h"

namespace lm::serve {
namespace {

constexpr size_t kAtOnce = 8;         // lines answered at the same time
constexpr size_t kMostLines = 50000;  // OpenAI's limit

const std::set<std::string> kEndpoints = {"/v1/chat/completions", "/v1/completions",
                                          "/v1/embeddings", "/v1/responses"};

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.find_first_not_of(" \t\r") != std::string::npos) out.push_back(std::move(line));
    at = end + 1;
  }
  return out;
}

}  // namespace

struct Batches::Line {
  int64_t number;
  std::string custom_id, url, body;
};

namespace {

// Lines of the input. Throws ApiError 400 naming the line.
template <typename Line>
std::vector<Line> read_lines(const std::string& text, const std::string& endpoint) {
  std::vector<Line> lines;
  std::set<std::string> ids;
  const auto wrong = [&](const std::string& what) {
    return ApiError(400, fmt::format("line {} of the input: {}", lines.size() + 1, what),
                    "input_file_id", "invalid_value");
  };
  for (const std::string& row : split_lines(text)) {
    const Json value = Json::parse(row, nullptr, false);
    if (!value.is_object()) throw wrong("it is no JSON object");
    const Json* body = member(value, "body");
    Line line{static_cast<int64_t>(lines.size()), text_or(value, "custom_id", ""),
              text_or(value, "url", endpoint), body ? dump(*body) : ""};
    if (line.custom_id.empty()) throw wrong("it has no custom_id");
    if (!ids.insert(line.custom_id).second)
      throw wrong(fmt::format("the custom_id \"{}\" is there twice", line.custom_id));
    if (text_or(value, "method", "POST") != "POST") throw wrong("its method is not POST");
    if (line.url != endpoint)
      throw wrong(fmt::format("its url is \"{}\"; the batch's is \"{}\"", line.url, endpoint));
    if (!body || !body->is_object()) throw wrong("it has no body");
    if (boolean_or(*body, "stream", false)) throw wrong("batches cannot stream");
    lines.push_back(std::move(line));
    if (lines.size() > kMostLines) throw wrong("there are too many lines");
  }
  if (lines.empty()) throw ApiError(400, "the input has no lines", "input_file_id");
  return lines;
}

}  // namespace

Batches::Batches(Store& store, Answer answer) : store_(store), answer_(std::move(answer)) {
  thread_ = http::start_thread([this] { run(); });
}

void Batches::resume() {
  const std::lock_guard lock(mutex_);
  for (const std::string& body : store_.list("batch", 100000)) {
    const Json batch = Json::parse(body);
    const std::string id = batch["id"].get<std::string>();
    const bool known = id == running_ || std::find(line_.begin(), line_.end(), id) != line_.end();
    if (batch["status"] == "in_progress" && !known) line_.push_front(id);  // oldest first
  }
  changed_.notify_all();
}

Json Batches::create(const std::string& file, const std::string& endpoint, const Json& metadata) {
  if (!kEndpoints.count(endpoint))
    throw ApiError(400,
                   fmt::format("endpoint is \"{}\"; batches know /v1/chat/completions, "
                               "/v1/completions, /v1/embeddings and /v1/responses",
                               endpoint),
                   "endpoint", "invalid_value");
  const auto data = store_.data("file", file);
  if (!data)
    throw ApiError(404, fmt::format("there is no file \"{}\"", file), "input_file_id", "not_found");
  const auto lines = read_lines<Line>(*data, endpoint);
  const std::string id = new_id("batch_");
  const Json batch = {
      {"id", id},
      {"object", "batch"},
      {"endpoint", endpoint},
      {"errors", nullptr},
      {"input_file_id", file},
      {"completion_window", "24h"},
      {"status", "in_progress"},
      {"output_file_id", nullptr},
      {"error_file_id", nullptr},
      {"created_at", unix_time()},
      {"in_progress_at", unix_time()},
      {"expires_at", unix_time() + 86400},
      {"completed_at", nullptr},
      {"cancelled_at", nullptr},
      {"request_counts", {{"total", lines.size()}, {"completed", 0}, {"failed", 0}}},
      {"metadata", metadata}};
  store_.put("batch", id, dump(batch));
  {
    const std::lock_guard lock(mutex_);
    line_.push_back(id);
  }
  changed_.notify_all();
  return batch;
}

Json Batches::get(const std::string& id) const {
  const auto body = store_.get("batch", id);
  if (!body) throw ApiError(404, fmt::format("there is no batch \"{}\"", id), "id", "not_found");
  Json batch = Json::parse(*body);
  int64_t done = 0, failed = 0;
  for (const Store::Line& line : store_.lines(id)) ++(line.failed ? failed : done);
  batch["request_counts"]["completed"] = done;
  batch["request_counts"]["failed"] = failed;
  return batch;
}

Json Batches::list() const {
  Json data = Json::array();
  for (const std::string& body : store_.list("batch", 1000))
    data.push_back(get(Json::parse(body)["id"].get<std::string>()));
  return {{"object", "list"}, {"data", std::move(data)}, {"has_more", false}};
}

bool Batches::ended(const std::string& id) const {
  const auto body = store_.get("batch", id);
  return !body || Json::parse(*body)["status"] != "in_progress";
}

void Batches::set_status(const std::string& id, const char* status) {
  const auto body = store_.get("batch", id);
  if (!body) return;
  Json batch = Json::parse(*body);
  batch["status"] = status;
  batch[std::string(status) + "_at"] = unix_time();
  store_.update("batch", id, dump(batch));
}

Json Batches::cancel(const std::string& id) {
  get(id);
  if (!ended(id)) {
    set_status(id, "cancelled");
    const std::lock_guard lock(mutex_);
    std::erase(line_, id);
    if (running_ == id) cancel_ = true;
  }
  return get(id);
}

void Batches::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    cancel_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Batches::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      running_.clear();
      changed_.wait(lock, [&] { return stop_ || !line_.empty(); });
      if (stop_) return;
      running_ = line_.front();
      line_.pop_front();
      cancel_ = false;
    }
    try {
      run_batch(running_);
    } catch (const std::exception&) {
      set_status(running_, "failed");
    }
  }
}

void Batches::run_batch(const std::string& id) {
  if (ended(id)) return;
  const Json batch = get(id);
  const auto data = store_.data("file", batch["input_file_id"].get<std::string>());
  if (!data) return set_status(id, "failed");
  auto lines = read_lines<Line>(*data, batch["endpoint"].get<std::string>());
  const size_t n = lines.size();
  for (const Store::Line& done : store_.lines(id))
    std::erase_if(lines, [&](const Line& line) { return line.number == done.number; });
  answer_lines(id, lines);
  if (!stop_ && !ended(id)) finish(id, n);
}

void Batches::answer_lines(const std::string& id, const std::vector<Line>& lines) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; !cancel_ && (i = next.fetch_add(1)) < lines.size();) answer_line(id, lines[i]);
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(kAtOnce, lines.size()); ++i)
    threads.push_back(http::start_thread(work));
  work();
  for (std::thread& thread : threads) thread.join();
}

void Batches::answer_line(const std::string& id, const Line& line) {
  HttpServerRequest request;
  request.method = "POST";
  request.path = line.url;
  request.body = line.body;
  request.headers = {{"content-type", "application/json"}};
  request.peer = kOwnPeer;
  const auto exchange = std::make_shared<LocalExchange>(std::move(request), cancel_);
  answer_(exchange);
  if (cancel_) return;  // to be answered again
  const HttpAnswer& answer = exchange->result();
  const bool failed = answer.status != 200;
  const Json body = Json::parse(answer.body, nullptr, false);
  store_.put_line(id, line.number, failed,
                  dump(Json{{"id", fmt::format("{}_{}", id, line.number)},
                            {"custom_id", line.custom_id},
                            {"response",
                             {{"status_code", answer.status},
                              {"request_id", exchange->request_id()},
                              {"body", body.is_discarded() ? Json(answer.body) : body}}},
                            {"error", nullptr}}));
}

void Batches::finish(const std::string& id, size_t n_lines) {
  std::string output, errors;
  for (const Store::Line& line : store_.lines(id))
    (line.failed ? errors : output) += line.body + "\n";
  Json batch = get(id);
  const auto save = [&](const std::string& text, const char* kind) {
    return text.empty() ? Json(nullptr)
                        : save_file(store_, id + "_" + kind + ".jsonl", "batch_output", text)["id"];
  };
  batch["output_file_id"] = save(output, "output");
  batch["error_file_id"] = save(errors, "error");
  batch["request_counts"]["total"] = n_lines;
  batch["status"] = "completed";
  batch["completed_at"] = unix_time();
  store_.update("batch", id, dump(batch));
}

}  // namespace lm::serve
