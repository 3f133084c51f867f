#include "engine/serve/models.h"

#include <algorithm>
#include <atomic>
#include <ctime>

#include "engine/api/generate.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/models/adapters.h"
#include "engine/serve/api_error.h"
#include "engine/serve/http/worker_pool.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {
namespace {

// Loading goes on when the request that began it ends.
const std::atomic<bool> g_never{false};

std::string without_latest(const std::string& name) {
  constexpr std::string_view kLatest = ":latest";  // Ollama's clients add it
  return name.ends_with(kLatest) ? name.substr(0, name.size() - kLatest.size()) : name;
}

bool has_adapter(const Model& model, const std::string& name) {
  const auto set = model.adapters();
  return set && std::any_of(set->adapters.begin(), set->adapters.end(),
                            [&](const auto& a) { return a->name == name; });
}

}  // namespace

ToolCallFormat tool_format_of(const ChatTemplate& chat, const Tokenizer& tokenizer) {
  const auto spelled = [&](int32_t id) {
    return id < 0 ? std::string() : std::string(tokenizer.token_text(id));
  };
  return find_tool_call_format(chat, spelled(tokenizer.bos()),
                               spelled(tokenizer.eos().empty() ? -1 : tokenizer.eos()[0]));
}

void LoadedModel::start_driver() {
  std::call_once(driver_once_, [&] {
    driver_ = http::start_thread([this] {
      const CancelScope scope(&g_never);
      drive_scheduler(*model, stop_);
    });
  });
}

LoadedModel::~LoadedModel() {
  stop_ = true;
  if (driver_.joinable()) driver_.join();
}

const ToolCallFormat& LoadedModel::tool_format() {
  std::call_once(format_once_, [&] {
    if (model->chat_template())
      format_ = tool_format_of(*model->chat_template(), *model->tokenizer());
  });
  return format_;
}

void Models::add(ServedModelOptions options, bool replace) {
  LM_CHECK(!options.name.empty(), ErrorCode::bad_option, "a served model needs a name");
  LM_CHECK(options.model || !options.path.empty(), ErrorCode::bad_option,
           "the served model \"{}\" needs a model or a path", options.name);
  auto entry = std::make_shared<Entry>();
  entry->created = static_cast<int64_t>(std::time(nullptr));
  entry->used = Clock::now();
  if (options.model) {
    entry->loaded = std::make_shared<LoadedModel>(std::move(options.model));
    options.model = nullptr;
  }
  entry->options = std::move(options);
  const std::lock_guard lock(mutex_);
  auto& slot = entries_[entry->options.name];
  LM_CHECK(!slot || replace, ErrorCode::bad_option, "a model \"{}\" is served already",
           entry->options.name);
  entry->place = slot ? slot->place : ++places_;
  slot = std::move(entry);
}

void Models::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  LM_CHECK(entries_.erase(name) > 0, ErrorCode::not_found, "no model \"{}\" is served", name);
}

std::vector<std::string> Models::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<const Entry*> all;
  for (const auto& [name, entry] : entries_) all.push_back(entry.get());
  std::sort(all.begin(), all.end(),
            [](const Entry* a, const Entry* b) { return a->place < b->place; });
  std::vector<std::string> names;
  for (const Entry* entry : all) names.push_back(entry->options.name);
  return names;
}

std::vector<ModelRow> Models::list() const {
  std::vector<ModelRow> rows;
  for (const std::string& name : names()) {
    std::shared_ptr<Entry> entry;
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = entries_.find(name); it != entries_.end()) entry = it->second;
    }
    if (!entry) continue;
    ModelRow row;
    row.name = name;
    row.created = entry->created;
    row.unload_s = entry->options.path.empty() ? 0 : entry->options.idle_unload_s;
    {
      const std::unique_lock lock(entry->mutex, std::try_to_lock);  // it may just be loading
      if (lock.owns_lock() && entry->loaded) row.model = entry->loaded->model;
      if (lock.owns_lock())
        row.idle_s = std::chrono::duration<double>(Clock::now() - entry->used).count();
    }
    row.loaded = row.model != nullptr;
    if (row.model)
      row.context =
          entry->options.context > 0 ? entry->options.context : row.model->info().context_length;
    rows.push_back(row);
    const auto adapters = row.model ? row.model->adapters() : nullptr;
    if (!adapters) continue;
    for (const auto& adapter : adapters->adapters) {
      row.name = name + ":" + adapter->name;
      row.parent = name;
      rows.push_back(row);
    }
  }
  return rows;
}

std::shared_ptr<Models::Entry> Models::find(const std::string& name, std::string* adapter) const {
  const std::lock_guard lock(mutex_);
  if (const auto it = entries_.find(name); it != entries_.end()) return it->second;
  if (const auto it = entries_.find(without_latest(name)); it != entries_.end()) return it->second;
  for (size_t at = name.rfind(':'); at != std::string::npos && at > 0; at = name.rfind(':', at - 1))
    if (const auto it = entries_.find(name.substr(0, at)); it != entries_.end()) {
      *adapter = name.substr(at + 1);
      return it->second;
    }
  return nullptr;
}

bool Models::has(const std::string& name) const {
  std::string adapter;
  return find(name, &adapter) != nullptr;
}

void Models::load(Entry& entry) {
  const CancelScope scope(&g_never);
  entry.loaded = std::make_shared<LoadedModel>(Model::load(entry.options.path, entry.options.load));
}

ServedModel Models::get(const std::string& asked) {
  std::string name = asked, adapter;
  if (name.empty())
    if (const auto all = names(); !all.empty()) name = all.front();
  const auto entry = find(name, &adapter);
  const auto missing = [&] {
    std::string known;
    for (const ModelRow& row : list()) known += (known.empty() ? "\"" : ", \"") + row.name + "\"";
    return ApiError(404,
                    fmt::format("the model \"{}\" does not exist; this server has {}", asked,
                                known.empty() ? "none" : known),
                    "model", "model_not_found");
  };
  if (!entry) throw missing();
  ServedModel served;
  served.name = name;
  {
    const std::lock_guard lock(entry->mutex);
    if (!entry->loaded) load(*entry);
    entry->used = Clock::now();
    served.loaded = entry->loaded;
  }
  if (!adapter.empty()) {
    if (!has_adapter(served.model(), adapter)) throw missing();
    served.adapters = {adapter};
  }
  const int64_t whole = served.model().info().context_length;
  served.context = entry->options.context > 0 ? std::min(entry->options.context, whole) : whole;
  return served;
}

void Models::unload_idle() {
  std::vector<std::shared_ptr<Entry>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) all.push_back(entry);
  }
  for (const auto& entry : all) {
    if (entry->options.path.empty() || entry->options.idle_unload_s <= 0) continue;
    std::shared_ptr<LoadedModel> last;  // freed outside of the lock
    const std::unique_lock lock(entry->mutex, std::try_to_lock);
    if (!lock.owns_lock() || !entry->loaded || entry->loaded.use_count() > 1) continue;
    const double idle = std::chrono::duration<double>(Clock::now() - entry->used).count();
    if (idle > entry->options.idle_unload_s) last.swap(entry->loaded);
  }
}

}  // namespace lm::serve
