#include "engine/serve/call.h"

#include <openssl/rand.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace lm::serve {

std::string new_id(const char* prefix) {
  static constexpr char kLetters[] =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  unsigned char bytes[24];
  LM_CHECK(RAND_bytes(bytes, sizeof bytes) == 1, ErrorCode::internal, "no random numbers");
  std::string id(prefix);
  for (const unsigned char byte : bytes) id += kLetters[byte % 62];
  return id;
}

int64_t unix_time() {
  return static_cast<int64_t>(std::time(nullptr));
}

std::shared_ptr<const Constraint> ConstraintCache::get(
    const ConstraintOptions& options, const std::shared_ptr<const Tokenizer>& tokenizer) {
  std::string key =
      fmt::format("{}/{}/{}/{}/", static_cast<int>(options.language), options.any_space,
                  options.any_order, static_cast<const void*>(tokenizer.get()));
  for (const std::string& part : options.choices) key += fmt::format("{}:{}", part.size(), part);
  for (const std::string& part : options.triggers) key += fmt::format("!{}:{}", part.size(), part);
  key += options.text;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = entries_.find(key); it != entries_.end()) {
      it->second.used = ++clock_;
      return it->second.constraint;
    }
  }
  auto made = Constraint::compile(options, tokenizer);
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMost)
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  entries_[key] = {tokenizer, made, ++clock_};
  return made;
}

Call::Call(Core& c, const Route& r, HttpExchange& h, std::string request_id)
    : core(c),
      route(r),
      http(h),
      id(std::move(request_id)),
      body_(std::make_unique<Json>(Json::object())) {}
Call::~Call() = default;

void Call::set_body(Json body) {
  *body_ = std::move(body);
}

ServedModel Call::served_model() {
  std::string name = text_or(body(), "model", "");
  const auto hooks = core.hooks();
  if (!name.empty() && hooks->on_unknown_model && !core.models.has(name)) {
    const std::string other = hooks->on_unknown_model(name);
    if (!other.empty()) name = other;
  }
  ServedModel served = core.models.get(name);
  model = served.name;
  return served;
}

HttpHeaders Call::headers(const char* content_type) const {
  HttpHeaders out = {{"content-type", content_type}, {"x-request-id", id}};
  if (route.dialect == Dialect::anthropic) out.emplace_back("request-id", id);
  const std::string origin(http.request().header("origin"));
  if (!origin.empty()) {  // the server has let the page in
    out.emplace_back("access-control-allow-origin", origin);
    out.emplace_back("vary", "origin");
  }
  return out;
}

void Call::answer(const Json& value, int status) {
  http.answer({status, headers("application/json"), dump(value)});
}

void Call::answer_text(std::string text, const char* content_type) {
  http.answer({200, headers(content_type), std::move(text)});
}

void Call::fail(const ApiError& error) {
  const std::string text = error_body(route.dialect, error, id);
  if (!streaming_ && http.status() == 0) {
    http.answer({error_status(route.dialect, error), headers("application/json"), text});
    return;
  }
  if (http.cancelled()) return;
  if (route.dialect == Dialect::ollama)
    http.write(text + "\n");
  else if (route.dialect == Dialect::anthropic)
    http.write("event: error\ndata: " + text + "\n\n");
  else
    http.write("data: " + text + "\n\n");
  http.end();
}

void Call::begin_stream(const char* content_type) {
  if (std::exchange(streaming_, true)) return;
  HttpHeaders all = headers(content_type);
  all.emplace_back("cache-control", "no-cache");
  all.emplace_back("x-accel-buffering", "no");  // proxies are to pass pieces on as they come
  http.begin(200, std::move(all));
}

void Call::send(std::string_view bytes) {
  if (!http.write(bytes)) throw Error(ErrorCode::interrupted, "the client has gone");
}

void Call::event(const std::string& data, const char* name) {
  begin_stream("text/event-stream; charset=utf-8");
  send(name ? fmt::format("event: {}\ndata: {}\n\n", name, data)
            : fmt::format("data: {}\n\n", data));
}

void Call::line(const Json& value) {
  begin_stream("application/x-ndjson");
  send(dump(value) + "\n");
}

void Call::end_stream() {
  http.end();
}

}  // namespace lm::serve
