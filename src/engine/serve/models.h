// The models that a server answers with, by name. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/api/constraint.h"
#include "engine/api/embed.h"
#include "engine/api/serve.h"
#include "engine/api/tool_calls.h"
#include "engine/api/vision.h"

namespace lm {
class ChatTemplate;
class Tokenizer;
}  // namespace lm

namespace lm::serve {

// One model in memory with what requests share of it. A thread of its own runs the steps while
// there are many streams.
struct LoadedModel {
  explicit LoadedModel(std::shared_ptr<const Model> m) : model(std::move(m)) {}
  ~LoadedModel();
  // Starts that thread, once.
  void start_driver();
  std::shared_ptr<const Model> model;
  std::mutex embed_mutex;  // guards the two below
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<ImageEncoder> images;
  // How the model writes tool calls and thoughts; found on first use.
  const ToolCallFormat& tool_format();

 private:
  std::once_flag format_once_, driver_once_;
  ToolCallFormat format_;
  std::atomic<bool> stop_{false};
  std::thread driver_;
};

// The same for another template of the model.
ToolCallFormat tool_format_of(const ChatTemplate& chat, const Tokenizer& tokenizer);

// What a request works with. The model stays in memory while one is held.
struct ServedModel {
  std::string name;  // as asked for
  std::shared_ptr<LoadedModel> loaded;
  std::vector<std::string> adapters;
  int64_t context = 0;  // tokens of a text at most
  const Model& model() const { return *loaded->model; }
  const Tokenizer& tokenizer() const { return *loaded->model->tokenizer(); }
};

struct ModelRow {
  std::string name;
  int64_t created = 0;  // seconds since 1970
  int64_t context = 0;  // 0: not loaded yet
  bool loaded = false;
  std::string parent;                  // of an adapter: its model
  std::shared_ptr<const Model> model;  // or null
  double idle_s = 0, unload_s = 0;     // not used for; unloaded after (0: never)
};

class Models {
 public:
  void add(ServedModelOptions options, bool replace);
  void remove(const std::string& name);
  std::vector<std::string> names() const;
  // With adapters, as "name:adapter".
  std::vector<ModelRow> list() const;
  bool has(const std::string& name) const;
  // Loads it where it is not. "": the first. Throws ApiError 404 naming those that are there, and
  // what Model::load throws.
  ServedModel get(const std::string& name);
  // Gives back what was not used for long enough.
  void unload_idle();

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    ServedModelOptions options;
    int64_t created = 0, place = 0;
    std::mutex mutex;  // guards those below
    std::shared_ptr<LoadedModel> loaded;
    Clock::time_point used;
  };
  std::shared_ptr<Entry> find(const std::string& name, std::string* adapter) const;
  static void load(Entry& entry);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  int64_t places_ = 0;
};

}  // namespace lm::serve
