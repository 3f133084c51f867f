#include "engine/core/lazy_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "engine/core/error.h"

namespace lm {
namespace {

// The folder liblmfast.so was loaded from.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&open_lazy_library), &info) == 0 || !info.dli_fname)
    return ".";
  const std::string folder = std::filesystem::path(info.dli_fname).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

const void* open_lazy_library(const char* name, const char* variable, const char* entry,
                              const char* hint) {
  const char* wanted = std::getenv(variable);
  const std::string path = wanted && *wanted ? wanted : own_folder() + "/" + name;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    throw Error(ErrorCode::not_found,
                fmt::format("{} cannot be opened: {}", name, why ? why : path), hint);
  }
  using Open = const void* (*)();
  const auto open = reinterpret_cast<Open>(dlsym(library, entry));
  LM_CHECK(open != nullptr, ErrorCode::unsupported, "\"{}\" is not a part of lmfast: it has no {}",
           path, entry);
  return open();
}

}  // namespace lm
