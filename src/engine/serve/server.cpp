#include "engine/serve/server.h"

#include <condition_variable>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/serve/batches.h"
#include "engine/serve/core.h"
#include "engine/serve/dispatch.h"
#include "engine/serve/http/http_server.h"
#include "engine/serve/http/worker_pool.h"
#include "engine/serve/json.h"

namespace lm::serve {
namespace {

class ModelServer : public Server {
 public:
  explicit ModelServer(const ServeOptions& options) : core_(options) {
    HttpServerOptions http = options.http;
    // A page that rebinds a name to this machine does not know the key.
    if (!options.api_keys.empty()) http.allowed_hosts.emplace_back("*");
    const HttpHandlers handlers = make_handlers(core_);
    batches_ = std::make_unique<Batches>(core_.store, handlers.handle);
    core_.batches = batches_.get();
    http_ = http::make_http_server(http, handlers);
    core_.http = http_.get();
    keeper_ = http::start_thread([this] { keep(); });
  }
  ~ModelServer() override { stop(0); }

  int port() const override { return http_->port(); }
  void add(ServedModelOptions model, bool replace) override {
    core_.models.add(std::move(model), replace);
  }
  void remove(const std::string& name) override { core_.models.remove(name); }
  std::vector<std::string> names() const override { return core_.models.names(); }
  void resume_batches() override { batches_->resume(); }
  void set_hooks(ServeHooks hooks) override { core_.set_hooks(std::move(hooks)); }

  std::string stats() const override {
    const HttpServerStats h = http_->stats();
    Json models = Json::object();
    core_.metrics.each([&](const std::string& name, const ModelMetrics& m) {
      models[name] = {{"running", m.running.load()},
                      {"prompt_tokens", m.prompt_tokens.load()},
                      {"cached_tokens", m.cached_tokens.load()},
                      {"completion_tokens", m.generation_tokens.load()},
                      {"time_to_first_token_s", m.time_to_first_token.mean()},
                      {"time_per_token_s", m.inter_token.mean()}};
    });
    const std::chrono::duration<double> up = std::chrono::steady_clock::now() - core_.started;
    return dump(Json{{"connections", h.connections},
                     {"running", h.running},
                     {"waiting", h.waiting},
                     {"requests", h.requests},
                     {"refused", h.refused},
                     {"cancelled", h.cancelled},
                     {"draining", http_->draining()},
                     {"uptime_s", up.count()},
                     {"models", std::move(models)}});
  }

  void stop(double drain_s) override {
    http_->stop(drain_s);
    batches_->stop();
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    if (keeper_.joinable()) keeper_.join();
  }

 private:
  // Gives back the memory of models that nobody asks.
  void keep() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(500), [&] { return ending_; })) {
      lock.unlock();
      core_.models.unload_idle();
      lock.lock();
    }
  }

  Core core_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<HttpServer> http_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread keeper_;
};

}  // namespace

std::unique_ptr<Server> make_server(const ServeOptions& options) {
  return std::make_unique<ModelServer>(options);
}

}  // namespace lm::serve
