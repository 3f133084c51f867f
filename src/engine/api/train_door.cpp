#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "engine/api/train.h"
#include "engine/core/error.h"

namespace lm {
namespace {

std::atomic<const TrainApi*> g_api{nullptr};

// The folder liblmfast.so was loaded from.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&train_api_loaded), &info) == 0 || !info.dli_fname) return ".";
  const std::string folder = std::filesystem::path(info.dli_fname).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string library_path() {
  const char* wanted = std::getenv("LMFAST_TRAIN_LIBRARY");
  return wanted && *wanted ? wanted : own_folder() + "/liblmfast_train.so";
}

const TrainApi* open_library() {
  const std::string path = library_path();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    throw Error(ErrorCode::not_found, fmt::format("the training engine cannot be opened: {}", why ? why : path),
                "scripts/lmfast.sh without --no-train builds it");
  }
  using Open = const TrainApi* (*)();
  const auto open = reinterpret_cast<Open>(dlsym(library, "lmfast_train_open"));
  LM_CHECK(open != nullptr, ErrorCode::unsupported, "\"{}\" is not lmfast's training engine: it has no lmfast_train_open", path);
  const TrainApi* api = open();
  LM_CHECK(api->version == kTrainApiVersion, ErrorCode::unsupported, "\"{}\" has interface version {}; this build needs {}", path, api->version, kTrainApiVersion);
  return api;
}

}  // namespace

const TrainApi& train_api() {
  if (const TrainApi* api = g_api.load(std::memory_order_acquire)) return *api;
  static const TrainApi* opened = open_library();  // a throwing attempt is repeated by the next call
  g_api.store(opened, std::memory_order_release);
  return *opened;
}

bool train_api_loaded() { return g_api.load(std::memory_order_acquire) != nullptr; }

}  // namespace lm
