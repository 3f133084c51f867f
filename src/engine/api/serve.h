// The model server: OpenAI, Anthropic and Ollama dialects over HTTP, on the models' schedulers. It
// lives in liblmfast_serve.so, a lazy door like that of api/net.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/http_server.h"
#include "engine/api/model.h"

namespace lm {

// A model by the name that clients ask for. Its adapters answer to "name:adapter".
struct ServedModelOptions {
  std::string name;
  std::shared_ptr<const Model> model;  // or, loaded on first use:
  std::string path;
  LoadOptions load;
  int64_t context = 0;       // tokens of a text at most; 0: the model's own
  double idle_unload_s = 0;  // with a path: gives the memory back after this long; 0: never
};

// What hooks are asked; each takes and returns JSON texts. A hook that throws ends the request with
// 500 and its message; Error{denied} refuses it with 403. They run on the request's thread.
struct ServeHooks {
  // {id, route, method, path, model, key, body} -> the body to go on with, or "" for no change.
  std::function<std::string(const std::string&)> on_request;
  // {id, model, index, text} -> {"text": ...} instead, {"stop": true} to end here, or "".
  std::function<std::string(const std::string&)> on_token;
  // {id, route, model, text, finish_reason, usage} -> as on_token; of whole answers text too.
  std::function<std::string(const std::string&)> on_response;
  // {id, input} -> {category: score 0..1}, or "".
  std::function<std::string(const std::string&)> on_moderation;
  // The name of a model that is not served -> the one to take, or "".
  std::function<std::string(const std::string&)> on_unknown_model;
};

struct ServeOptions {
  HttpServerOptions http;
  std::vector<std::string> api_keys;   // empty: nobody needs one
  std::string state;                   // SQLite file for responses, files, batches; "": memory
  double requests_per_minute = 0;      // of one key; 0: any number
  int64_t concurrent_requests = 0;     // of one key at the same time; 0: any number
  bool ignore_unknown_fields = false;  // else they are refused with 400
  std::function<void(const std::string& line)> on_log;  // a line for each request; may be empty
};

// Thread-safe.
class Server {
 public:
  virtual ~Server() = default;
  virtual int port() const = 0;
  // Throws bad_option for a name that is taken (without replace) or empty.
  virtual void add(ServedModelOptions model, bool replace) = 0;
  // Answers that run go on. Throws not_found.
  virtual void remove(const std::string& name) = 0;
  virtual std::vector<std::string> names() const = 0;
  virtual void set_hooks(ServeHooks hooks) = 0;
  // Goes on with the batches that an earlier server of this state left; call it when the models are
  // there.
  virtual void resume_batches() = 0;
  // Counters and what runs now, as JSON.
  virtual std::string stats() const = 0;
  // See HttpServer::stop.
  virtual void stop(double drain_s) = 0;
};

// A question to an SQLite file, which is only read: one statement, nothing but tables and
// functions, no other files.
struct SqliteQuery {
  std::string path, sql;
  std::vector<std::string> parameters;  // of "?", JSON values
  size_t max_rows = 100, max_bytes = 1 << 20;
  double seconds = 5;
};

struct ServeApi {
  int version;  // kServeApiVersion of the build; both sides must agree
  // Both listen at once and throw as make_http_server does.
  std::unique_ptr<HttpServer> (*http)(const HttpServerOptions& options, HttpHandlers handlers);
  std::unique_ptr<Server> (*models)(const ServeOptions& options);
  // The description of all routes (OpenAPI 3.1, JSON) and their reference (Markdown).
  std::string (*openapi)();
  std::string (*reference)();
  // {columns: names, rows: lists of values, truncated: whether there were more rows}, JSON; bytes
  // are {base64}. Throws io (no such database), denied (it would change something or reach out of
  // the file), timeout, bad_option (SQLite's message).
  std::string (*sqlite)(const SqliteQuery& query);
};

inline constexpr int kServeApiVersion = 3;

// Opens the library if it is not open yet: beside liblmfast.so, or at LMFAST_SERVE_LIBRARY.
const ServeApi& serve_api();

}  // namespace lm
