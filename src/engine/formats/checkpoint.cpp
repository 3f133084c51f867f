#include "engine/formats/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

void add_file(const std::string& path, TensorFile* out) {
  auto file = std::make_shared<MappedFile>(path);
  const auto bytes = file->bytes();
  TensorMap tensors =
      looks_like_zip(bytes) ? parse_torch(bytes, path) : parse_safetensors(bytes, path);
  for (auto& [name, view] : tensors)
    LM_CHECK(out->tensors.emplace(name, std::move(view)).second, ErrorCode::bad_file,
             "{}: tensor \"{}\" is in another shard as well", path, name);
  out->files.push_back(std::move(file));
}

// Shard names come from a file: they must stay inside the folder.
std::vector<std::string> shard_names(const std::string& index_path) {
  const auto index = read_json_file(index_path);
  LM_CHECK(index.contains("weight_map") && index["weight_map"].is_object(), ErrorCode::bad_file,
           "{}: no \"weight_map\" object", index_path);
  std::vector<std::string> names;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    LM_CHECK(shard.is_string(), ErrorCode::bad_file,
             "{}: the shard of \"{}\" is {}; expected a file name", index_path, tensor,
             shard.dump());
    const auto name = shard.get<std::string>();
    LM_CHECK(!name.empty() && name.find('/') == std::string::npos && name != "..",
             ErrorCode::bad_file, "{}: shard name \"{}\" leaves the folder", index_path, name);
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

TensorFile open_checkpoint(const std::string& path) {
  TensorFile out;
  if (!fs::is_directory(path)) {
    add_file(path, &out);
    return out;
  }
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    const std::string single = path + "/" + name, index = single + ".index.json";
    if (fs::exists(index)) {
      for (const std::string& shard : shard_names(index)) add_file(path + "/" + shard, &out);
      return out;
    }
    if (fs::exists(single)) {
      add_file(single, &out);
      return out;
    }
  }
  raise(ErrorCode::not_found,
        "\"{}\" has no model.safetensors, no pytorch_model.bin and no index of their shards", path);
}

}  // namespace lm
