// Where tests find data that does not travel with the project. A test that lacks it prints
// "skipped: <reason>" and returns; the test script counts those lines.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lm_test {

inline std::optional<std::string> existing(const std::filesystem::path& path, const char* what) {
  if (std::filesystem::exists(path)) return path.string();
  std::printf("skipped: %s is missing (%s)\n", what, path.c_str());
  std::fflush(stdout);
  return std::nullopt;
}

// A path below LMFAST_TEST_DATA, or below ../shared/data beside the source tree.
inline std::optional<std::string> test_data(const std::string& path) {
  const char* root = std::getenv("LMFAST_TEST_DATA");
  const std::filesystem::path base =
      root != nullptr && *root != 0
          ? std::filesystem::path(root)
          : std::filesystem::path(LM_SOURCE_DIR) / ".." / "shared" / "data";
  return existing(base / path, "shared test data");
}

// A model file or folder by name, from the first of these folders that has it: LMFAST_TEST_MODELS,
// LMFAST_MODELS, the user's model cache, and lmfast-test-models beside it, where the models go that
// only tests need.
inline std::optional<std::string> test_model(const std::string& name) {
  std::vector<std::filesystem::path> folders;
  for (const char* variable : {"LMFAST_TEST_MODELS", "LMFAST_MODELS"})
    if (const char* value = std::getenv(variable); value != nullptr && *value != 0)
      folders.emplace_back(value);
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path cache =
      xdg != nullptr && *xdg != 0 ? std::filesystem::path(xdg)
                                  : std::filesystem::path(home != nullptr ? home : "/") / ".cache";
  folders.push_back(cache / "lmfast" / "models");
  folders.push_back(cache / "lmfast-test-models");
  for (const auto& folder : folders)
    if (std::filesystem::exists(folder / name)) return (folder / name).string();
  return existing(folders.front() / name, "model");
}

// A folder that goes with the object.
struct TemporaryFolder {
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lmfast-test-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path path;
};

}  // namespace lm_test
