#include "engine/export/hf_copy.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_weights.h"
#include "engine/formats/checkpoint.h"
#include "engine/models/arch.h"

namespace lm {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

// Weights of this or another format, and what lists them.
bool is_weights(const fs::path& path) {
  const std::string name = path.filename().string();
  for (const char* end : {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5",
                          ".msgpack", ".onnx", ".onnx_data", ".ot", ".index.json"})
    if (name.ends_with(end)) return true;
  return false;
}

// The folders that sentence-transformers keeps beside the model are copied whole; others hold the
// same model for other programs.
bool is_part(const fs::path& folder) {
  return fs::exists(folder / "config.json") &&
         !std::any_of(fs::directory_iterator(folder), fs::directory_iterator(),
                      [](const fs::directory_entry& e) {
                        const auto end = e.path().extension();
                        return end == ".onnx" || end == ".gguf" || end == ".xml";
                      });
}

class Copier {
 public:
  Copier(const std::string& from, const std::string& folder) : from_(from), to_(folder) {}

  void all() {
    for (const auto& entry : fs::directory_iterator(from_)) {
      const fs::path& path = entry.path();
      const std::string name = path.filename().string();
      if (name.starts_with('.') || name == "config.json") continue;
      if (entry.is_regular_file() && !is_weights(path)) copy(path, name);
      if (!entry.is_directory() || !is_part(path)) continue;
      fs::create_directories(fs::path(to_) / name);
      for (const auto& inner : fs::directory_iterator(path))
        if (inner.is_regular_file())
          copy(inner.path(), name + "/" + inner.path().filename().string());
    }
    std::sort(files_.begin(), files_.end());
  }

  // Says the type where the configuration does.
  void config(std::optional<DType> type) {
    const std::string text = read_file(from_ + "/config.json");
    ordered_json j = ordered_json::parse(text, nullptr, false);
    LM_CHECK(j.is_object(), ErrorCode::bad_file, "{}/config.json: not a JSON object", from_);
    if (type) {
      set_type(&j, *type);
      for (auto& [name, value] : j.items())
        if (name.ends_with("_config") && value.is_object()) set_type(&value, *type);
    }
    put("config.json", type ? j.dump(2) + "\n" : text);
  }

  std::vector<std::string> files() { return std::move(files_); }

 private:
  static void set_type(ordered_json* j, DType type) {
    const char* name = type == DType::f32 ? "float32" : type == DType::f16 ? "float16" : "bfloat16";
    for (const char* key : {"torch_dtype", "dtype"})
      if (j->contains(key)) (*j)[key] = name;
  }
  void copy(const fs::path& path, const std::string& name) { put(name, read_file(path.string())); }
  void put(const std::string& name, const std::string& text) {
    files_.push_back(to_ + "/" + name);
    write_file_atomic(files_.back(), std::as_bytes(std::span(text)));
  }

  std::string from_, to_;
  std::vector<std::string> files_;
};

}  // namespace

std::vector<std::string> copy_hf_folder(const std::string& from, std::optional<FileType> type,
                                        const std::string& folder, const WriteOptions& options,
                                        std::vector<std::pair<DType, int64_t>>* counts,
                                        const TensorMap* changed) {
  LM_CHECK(fs::exists(from + "/config.json"), ErrorCode::not_found,
           "\"{}\" has no config.json; expected a Hugging Face model folder or a .gguf file", from);
  HfTypes types;
  if (type) types.wish = hf_weight_type(*type);
  const TensorFile file = open_checkpoint(from);
  std::vector<ExportTensor> tensors;
  const Arch* arch =
      changed ? &find_arch(config_from_json(from + "/config.json").architecture) : nullptr;
  for (const auto& [name, view] : file.tensors) {
    const auto other =
        changed ? changed->find(rename_tensor(*arch, name)) : TensorMap::const_iterator();
    tensors.push_back(stored(name, changed && other != changed->end() ? other->second : view));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const ExportTensor& a, const ExportTensor& b) { return a.name < b.name; });
  std::vector<std::string> files = write_hf_weights(tensors, types, folder, options, counts);
  Copier copier(from, folder);
  copier.all();
  copier.config(types.wish);
  for (std::string& f : copier.files()) files.push_back(std::move(f));
  return files;
}

}  // namespace lm
