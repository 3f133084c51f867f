// A request that comes from the server itself, and its answer.
#pragma once

#include <atomic>
#include <string>

#include "engine/api/http_server.h"

namespace lm::serve {

// The peer of such requests, which no address can be: they need no key and no limit holds for them.
inline constexpr const char* kOwnPeer = "batch";

class LocalExchange : public HttpExchange {
 public:
  // cancelled must outlive it.
  LocalExchange(HttpServerRequest request, const std::atomic<bool>& cancelled)
      : request_(std::move(request)), cancelled_(cancelled) {}

  const HttpServerRequest& request() const override { return request_; }
  const std::atomic<bool>& cancelled() const override { return cancelled_; }
  void on_cancel(std::function<void()>) override {}  // it is polled
  void answer(HttpAnswer answer) override { answer_ = std::move(answer); }
  void begin(int status, HttpHeaders headers) override { answer_ = {status, headers, ""}; }
  bool write(std::string_view bytes) override {
    answer_.body += bytes;
    return !cancelled_;
  }
  void end() override {}
  int status() const override { return answer_.status; }

  const HttpAnswer& result() const { return answer_; }
  std::string request_id() const {
    for (const auto& [name, value] : answer_.headers)
      if (name == "x-request-id") return value;
    return {};
  }

 private:
  const HttpServerRequest request_;
  const std::atomic<bool>& cancelled_;
  HttpAnswer answer_{0, {}, ""};
};

}  // namespace lm::serve
