#include "engine/api/convert.h"

#include <filesystem>
#include <optional>

#include "engine/core/error.h"
#include "engine/export/gguf_model.h"
#include "engine/export/hf_model.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

GgufModel open_source(const std::string& path) {
  LM_CHECK(fs::exists(path), ErrorCode::not_found, "no file or folder \"{}\"", path);
  return fs::is_directory(path) ? hf_model(path) : gguf_model(GgufFile::open(path));
}

std::optional<FileType> wanted_type(const std::string& name) {
  return name.empty() ? std::nullopt : std::optional(file_type_from_name(name));
}

void check_target(const ConvertOptions& o) {
  LM_CHECK(!o.to.empty(), ErrorCode::bad_option, "`to` is empty; expected a name");
  LM_CHECK(!fs::exists(o.to) || (o.overwrite && !fs::equivalent(o.from, o.to)),
           ErrorCode::bad_option, "\"{}\" exists already; {}", o.to,
           o.overwrite ? "a model cannot be converted onto itself"
                       : "set overwrite = true to replace it");
}

}  // namespace

std::vector<const char*> convert_types() {
  return file_type_names();
}

ConvertResult convert_model(const ConvertOptions& o) {
  const std::optional<FileType> type = wanted_type(o.type);
  check_target(o);
  ConvertResult result;
  std::vector<std::pair<DType, int64_t>> counts;
  GgufWriteOptions write;
  write.max_file_bytes = o.max_file_bytes;
  if (o.progress)
    write.progress = [&](uint64_t done, uint64_t total) {
      o.progress(static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(1, total)));
    };
  result.format = "gguf";
  result.files = write_gguf_model(open_source(o.from), type, o.to, write, &counts);
  for (const auto& [dtype, n] : counts) result.types.emplace_back(dtype_name(dtype), n);
  for (const std::string& file : result.files)
    result.file_bytes += static_cast<int64_t>(fs::file_size(file));
  return result;
}

}  // namespace lm
