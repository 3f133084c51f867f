// A request and its answer, between a worker and its connection. Internal to engine/serve/http.
#pragma once

#include <memory>
#include <mutex>

#include "engine/serve/http/connection.h"
#include "engine/serve/http/outbox.h"

namespace lm::http {

class Exchange : public HttpExchange {
 public:
  Exchange(std::shared_ptr<Connection> connection, HttpServerRequest request, bool keep_alive,
           bool chunks);
  ~Exchange() override = default;

  const HttpServerRequest& request() const override { return request_; }
  const std::atomic<bool>& cancelled() const override { return cancelled_; }
  void on_cancel(std::function<void()> call) override;
  void answer(HttpAnswer answer) override;
  void begin(int status, HttpHeaders headers) override;
  bool write(std::string_view bytes) override;
  void end() override;
  int status() const override { return status_; }

  // The connection's side. Exchange outlives the worker's interest through the connection, so a
  // handle that workers hold ends it properly.
  void cancel();
  Outbox& outbox() { return outbox_; }
  bool keep_alive() const { return keep_alive_; }
  // The worker let go of it: an answer that is missing or half is dealt with.
  void abandoned();

 private:
  std::string head(int status, const HttpHeaders& headers, const std::string& length) const;
  void tell();

  const std::shared_ptr<Connection> connection_;
  const HttpServerRequest request_;
  std::atomic<bool> keep_alive_;
  const bool chunks_;
  Outbox outbox_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::function<void()> on_cancel_;
  std::atomic<int> status_{0};
  std::atomic<bool> ended_{false};
};

// What a handler holds: when it is dropped, the exchange is abandoned.
std::shared_ptr<HttpExchange> handle_for(std::shared_ptr<Exchange> exchange);

}  // namespace lm::http
