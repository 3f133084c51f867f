#include "engine/api/convert.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "engine/core/error.h"
#include "engine/export/changed_tensors.h"
#include "engine/export/gguf_model.h"
#include "engine/export/hf_copy.h"
#include "engine/export/hf_folder.h"
#include "engine/export/hf_model.h"
#include "engine/export/llama2c_model.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kShardBytes = 5'000'000'000;  // transformers' own limit

using Counts = std::vector<std::pair<DType, int64_t>>;

void check_paths(const ConvertOptions& o) {
  LM_CHECK(!o.to.empty(), ErrorCode::bad_option, "`to` is empty; expected a name");
  const bool free = !fs::exists(o.to) || (fs::is_directory(o.to) && fs::is_empty(o.to));
  LM_CHECK(free || (o.overwrite && !fs::equivalent(o.from, o.to)), ErrorCode::bad_option,
           "\"{}\" exists already; {}", o.to,
           o.overwrite ? "a model cannot be converted onto itself"
                       : "set overwrite = true to replace it");
}

bool is_gguf_name(const std::string& path) {
  return path.ends_with(".gguf");
}

enum class Source { gguf, folder, llama2c };

// What `from` is; weights beside their config.json stand for the folder.
Source source_of(std::string* from) {
  LM_CHECK(fs::exists(*from), ErrorCode::not_found, "no file or folder \"{}\"", *from);
  if (fs::is_directory(*from)) return Source::folder;
  const fs::path path(*from);
  const MappedFile file(*from);
  if (path.extension() == ".safetensors" || looks_like_zip(file.bytes())) {
    const fs::path folder = path.parent_path().empty() ? "." : path.parent_path();
    LM_CHECK(fs::exists(folder / "config.json"), ErrorCode::unsupported,
             "\"{}\" has no config.json beside it, which says what model it is", *from);
    *from = folder.string();
    return Source::folder;
  }
  LM_CHECK(!looks_like_rwkv_file(file.bytes()), ErrorCode::unsupported,
           "\"{}\" is a file of rwkv.cpp; expected a .gguf file, a Hugging Face folder or a "
           "checkpoint of llama2.c",
           *from);
  return path.extension() == ".bin" ? Source::llama2c : Source::gguf;
}

std::vector<std::string> to_gguf(const ConvertOptions& o, Source source,
                                 std::optional<FileType> type, const WriteOptions& common,
                                 Counts* counts) {
  GgufWriteOptions write;
  static_cast<WriteOptions&>(write) = common;
  GgufModel model = source == Source::folder    ? hf_model(o.from)
                    : source == Source::llama2c ? gguf_model(llama2c_model(o.from))
                                                : gguf_model(GgufFile::open(o.from));
  return write_gguf_model(std::move(model), type, o.to, write, counts);
}

std::vector<std::string> to_folder(const ConvertOptions& o, Source source,
                                   std::optional<FileType> type, WriteOptions write,
                                   Counts* counts) {
  if (write.max_file_bytes == 0) write.max_file_bytes = kShardBytes;
  if (source == Source::folder) return copy_hf_folder(o.from, type, o.to, write, counts);
  if (source == Source::gguf)
    return write_hf_folder(std::make_shared<const GgufFile>(GgufFile::open(o.from)), type, o.to,
                           write, counts);
  const Llama2cModel model = llama2c_model(o.from);
  return write_hf_folder(metadata_file(model.metadata), model.file.tensors, type, o.to, write,
                         counts);
}

}  // namespace

std::vector<const char*> convert_types() {
  return file_type_names();
}

namespace {

// A folder with the adapters merged in, beside the result, while it is converted. Its name becomes
// the model's.
class MergedFolder {
 public:
  MergedFolder(const ConvertOptions& o)
      : beside_(o.to + ".merging"), path_((fs::path(beside_) / fs::path(o.to).stem()).string()) {
    const OpenedModel model = open_model(o.from);
    ChangedTensors changed;
    std::vector<AdapterToMerge> list;
    for (const auto& [path, scale] : o.adapters) list.push_back({path, scale});
    merge_adapters(model, list, &changed);
    fs::remove_all(beside_);
    fs::create_directories(beside_);
    write_changed_model(o.from, changed, path_);
  }
  ~MergedFolder() {
    std::error_code ignored;
    fs::remove_all(beside_, ignored);
  }
  MergedFolder(const MergedFolder&) = delete;
  MergedFolder& operator=(const MergedFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string beside_, path_;
};

}  // namespace

ConvertResult convert_model(const ConvertOptions& options) {
  ConvertOptions o = options;
  while (o.to.size() > 1 && o.to.ends_with('/')) o.to.pop_back();
  if (!o.adapters.empty()) {
    source_of(&o.from);
    check_paths(o);
    const MergedFolder merged(o);
    o.from = merged.path();
    o.adapters.clear();
    return convert_model(o);
  }
  std::optional<FileType> type;
  if (!o.type.empty()) type = file_type_from_name(o.type);
  const Source source = source_of(&o.from);
  check_paths(o);
  WriteOptions write;
  write.max_file_bytes = o.max_file_bytes;
  if (o.progress)
    write.progress = [&](uint64_t done, uint64_t total) {
      o.progress(static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(1, total)));
    };
  ConvertResult result;
  Counts counts;
  const bool gguf = is_gguf_name(o.to);
  result.format = gguf ? "gguf" : "safetensors";
  result.files =
      gguf ? to_gguf(o, source, type, write, &counts) : to_folder(o, source, type, write, &counts);
  for (const auto& [dtype, n] : counts) result.types.emplace_back(dtype_name(dtype), n);
  for (const std::string& file : result.files)
    result.file_bytes += static_cast<int64_t>(fs::file_size(file));
  return result;
}

}  // namespace lm
