// Where tests find data that does not travel with the project. A test that lacks it prints
// "skipped: <reason>" and returns; the test script counts those lines.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

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

// A model file by name: LMFAST_TEST_MODELS (a folder, or the file itself), or the user's model
// cache.
inline std::optional<std::string> test_model(const std::string& name) {
  if (const char* models = std::getenv("LMFAST_TEST_MODELS"); models != nullptr && *models != 0) {
    const std::filesystem::path path = models;
    return existing(std::filesystem::is_directory(path) ? path / name : path, "model");
  }
  if (const char* own = std::getenv("LMFAST_MODELS"); own != nullptr && *own != 0)
    return existing(std::filesystem::path(own) / name, "model");
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      cache != nullptr && *cache != 0
          ? std::filesystem::path(cache)
          : std::filesystem::path(home != nullptr ? home : "/") / ".cache";
  return existing(base / "lmfast" / "models" / name, "model");
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
