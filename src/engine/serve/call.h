// One request that is being answered, as its route sees it.
#pragma once

#include <memory>
#include <string>

#include "engine/api/http_server.h"
#include "engine/serve/core.h"
#include "engine/serve/json.h"
#include "engine/serve/route.h"

namespace lm::serve {

class Call {
 public:
  Call(Core& core, const Route& route, HttpExchange& http, std::string id);
  ~Call();

  Core& core;
  const Route& route;
  HttpExchange& http;
  const std::string id;  // of the request: "req_..."
  std::string path_id;   // what stands for "{id}" in the path
  std::string who;       // see Access::identify
  const Json& body() const { return *body_; }
  void set_body(Json body);

  // For the request's log line and metrics; filled by routes.
  std::string model;
  int64_t prompt_tokens = 0, completion_tokens = 0;

  // The model that the body names, or what a hook makes of an unknown name. Sets `model`.
  ServedModel served_model();

  void answer(const Json& body, int status = 200);
  void answer_text(std::string body, const char* content_type);
  // Ends the request: as an answer, or as an event of a stream that has begun.
  void fail(const ApiError& error);
  HttpHeaders headers(const char* content_type) const;

  // Server-sent events. The first call begins the stream. Throws Error{interrupted} when the client
  // has gone.
  void event(const std::string& data, const char* name = nullptr);
  // Lines of JSON (Ollama).
  void line(const Json& value);
  void end_stream();
  bool streaming() const { return streaming_; }

 private:
  void begin_stream(const char* content_type);
  void send(std::string_view bytes);

  std::unique_ptr<Json> body_;
  bool streaming_ = false;
};

// "prefix" and 24 random characters.
std::string new_id(const char* prefix);
int64_t unix_time();

}  // namespace lm::serve
