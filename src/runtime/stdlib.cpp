#include "runtime/stdlib.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "engine/core/mapped_file.h"
#include "runtime/embedded.h"

namespace lm {
namespace {

namespace fs = std::filesystem;

std::string override_folder() {
  const char* folder = std::getenv("LMFAST_LUA_PATH");
  return folder ? folder : "";
}

// "lm.a.b" -> "stdlib/lm/a/b"; empty when the name is no module of ours (or tries to leave the
// folder).
std::string relative_path(std::string_view module) {
  const bool recipe = module.starts_with("recipes.");
  if (!recipe && module != "lm" && !module.starts_with("lm.")) return {};
  if (module.find_first_of("/\\") != std::string_view::npos ||
      module.find("..") != std::string_view::npos)
    return {};
  std::string path(module);
  std::replace(path.begin(), path.end(), '.', '/');
  return recipe ? path : "stdlib/" + path;
}

// "stdlib/lm/a/init.lua" -> "lm.a"; empty for other files.
std::string module_of(std::string_view path) {
  if (!path.ends_with(".lua")) return {};
  path.remove_suffix(4);
  if (path.starts_with("stdlib/")) path.remove_prefix(7);
  if (path.ends_with("/init")) path.remove_suffix(5);
  std::string name(path);
  std::replace(name.begin(), name.end(), '/', '.');
  return relative_path(name).empty() ? std::string() : name;
}

}  // namespace

std::optional<std::string_view> find_embedded(std::string_view path) {
  for (const EmbeddedFile* file = kEmbeddedFiles; file->name; ++file)
    if (path == file->name)
      return std::string_view(file->begin, static_cast<size_t>(file->end - file->begin));
  return std::nullopt;
}

std::optional<StdlibFile> find_stdlib(std::string_view module) {
  const std::string base = relative_path(module);
  if (base.empty()) return std::nullopt;
  const std::string folder = override_folder();
  for (const char* ending : {".lua", "/init.lua"}) {
    const std::string name = "lua/" + base + ending;
    if (!folder.empty()) {
      const fs::path path = fs::path(folder) / (base + ending);
      std::error_code none;
      if (fs::is_regular_file(path, none))
        return StdlibFile{path.string(), "@" + name, read_file(path.string())};
    }
    if (const auto text = find_embedded(name))
      return StdlibFile{name, "@" + name, std::string(*text)};
  }
  return std::nullopt;
}

std::vector<std::string> stdlib_modules() {
  std::set<std::string> names;
  for (const EmbeddedFile* file = kEmbeddedFiles; file->name; ++file) {
    const std::string_view path = file->name;
    if (path.starts_with("lua/")) names.insert(module_of(path.substr(4)));
  }
  if (const std::string folder = override_folder(); !folder.empty()) {
    for (const char* part : {"stdlib/lm", "recipes"}) {
      std::error_code error;
      for (fs::recursive_directory_iterator it(fs::path(folder) / part, error), end;
           !error && it != end; it.increment(error))
        names.insert(module_of(fs::relative(it->path(), folder).generic_string()));
    }
  }
  names.erase("");
  return {names.begin(), names.end()};
}

}  // namespace lm
