#include "engine/models/open_model.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "engine/core/error.h"
#include "engine/models/arch.h"
#include "engine/models/pooling.h"
#include "engine/models/rwkv.h"
#include "engine/text/chat_template_file.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

OpenedModel open_gguf(const std::string& path) {
  const auto file = std::make_shared<const GgufFile>(GgufFile::open(path));
  const GgufFile& gguf = *file;
  OpenedModel o;
  o.format = "gguf";
  o.config = config_from_gguf(file);
  find_arch(
      o.config
          .architecture);  // an unknown architecture is refused before its tokenizer is looked at
  for (const std::string& name : gguf.tensor_names())
    o.file.tensors.emplace(name, *gguf.tensor(name));
  o.file.files = gguf.files();
  o.tokenizer = load_tokenizer(gguf);
  o.chat_template = gguf.get_string("tokenizer.chat_template").value_or("");
  return o;
}

// A tokenizer beside a file, or none.
std::shared_ptr<const Tokenizer> tokenizer_in(const std::string& folder, int64_t vocab_size) {
  const auto found = find_tokenizer_folder(folder.empty() ? "." : folder);
  return found ? found : no_tokenizer(vocab_size);
}

// path: the folder, or one file of weights in it.
OpenedModel open_folder(const std::string& path) {
  const std::string folder = fs::is_directory(path) ? path : fs::path(path).parent_path().string();
  const std::string config = (folder.empty() ? "." : folder) + "/config.json";
  LM_CHECK(fs::exists(config), ErrorCode::not_found,
           "\"{}\" has no config.json beside its weights; expected a Hugging Face model folder or "
           "a .gguf file",
           path);
  OpenedModel o;
  o.format = "safetensors";
  o.config = config_from_json(config);
  const Arch& arch = find_arch(o.config.architecture);
  o.file = open_checkpoint(path);
  o.file.tensors = rename_tensors(arch, std::move(o.file.tensors));
  o.folder = folder.empty() ? "." : folder;
  o.tokenizer = tokenizer_in(folder, o.config.vocab_size);
  o.chat_template = chat_template_in(folder.empty() ? "." : folder);
  return o;
}

// llama2.c keeps its tokenizer in a file of its own beside the checkpoint.
OpenedModel open_llama2c_model(const std::string& path) {
  OpenedModel o;
  o.format = "llama2c";
  Llama2cHeader header;
  o.file = open_llama2c(path, &header);
  o.config = config_from_llama2c(header);
  const std::string folder = fs::path(path).parent_path().string();
  for (const std::string& name :
       {"tok" + std::to_string(header.vocab_size) + ".bin", std::string("tokenizer.bin")}) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (!fs::exists(candidate)) continue;
    o.tokenizer = load_tokenizer_llama2c(candidate);
    break;
  }
  if (!o.tokenizer) o.tokenizer = no_tokenizer(header.vocab_size);
  return o;
}

// RWKV checkpoints of rwkv.cpp (.bin) and of RWKV's author (.pth), which have no configuration.
// Nothing when the tensors are another model's.
std::optional<OpenedModel> open_rwkv(const std::string& path, TensorFile file, bool gguf_layout,
                                     const char* format) {
  const auto config = rwkv_config(file.tensors, gguf_layout, path);
  if (!config) return std::nullopt;
  OpenedModel o;
  o.format = format;
  o.config = *config;
  o.file = std::move(file);
  o.file.tensors = rename_tensors(find_arch(o.config.architecture), std::move(o.file.tensors));
  o.tokenizer = tokenizer_in(fs::path(path).parent_path().string(), o.config.vocab_size);
  return o;
}

// A checkpoint beside its config.json, or one that needs none.
OpenedModel open_torch_file(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  if (!fs::exists((folder.empty() ? "." : folder) + "/config.json"))
    if (auto o = open_rwkv(path, open_checkpoint(path), false, "pytorch")) return std::move(*o);
  return open_folder(path);
}

// A folder that holds a GGUF file and no config.json stands for that file.
std::string gguf_in_folder(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".gguf") found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  LM_CHECK(!found.empty(), ErrorCode::not_found,
           "\"{}\" holds no model; expected config.json with .safetensors or .bin files, or a "
           ".gguf file",
           folder);
  const bool one = found.size() == 1 || found[0].find("-00001-of-") != std::string::npos;
  LM_CHECK(one, ErrorCode::bad_option, "\"{}\" holds {} .gguf files; name one of them, e.g. \"{}\"",
           folder, found.size(), found[0]);
  return found[0];
}

}  // namespace

OpenedModel open_model(const std::string& path) {
  LM_CHECK(fs::exists(path), ErrorCode::not_found, "no file or folder \"{}\"", path);
  if (fs::is_directory(path))
    return fs::exists(path + "/config.json") ? open_folder(path) : open_gguf(gguf_in_folder(path));
  const std::string extension = fs::path(path).extension().string();
  if (extension == ".safetensors") return open_folder(path);
  const auto mapped = std::make_shared<MappedFile>(path);
  if (looks_like_zip(mapped->bytes())) return open_torch_file(path);
  if (looks_like_rwkv_file(mapped->bytes())) {
    TensorFile file{parse_rwkv_file(mapped->bytes(), path), {mapped}};
    auto o = open_rwkv(path, std::move(file), true, "rwkv.cpp");
    LM_CHECK(o.has_value(), ErrorCode::bad_file, "{}: the tensors are not those of an RWKV model",
             path);
    return std::move(*o);
  }
  if (extension == ".bin") return open_llama2c_model(path);
  return open_gguf(path);
}

ModelSpec describe_model(const OpenedModel& opened) {
  ModelSpec spec =
      find_arch(opened.config.architecture).describe(opened.config, opened.file.tensors);
  read_gguf_pooling(*opened.config.source, &spec);
  if (!opened.folder.empty()) read_sentence_transformers(opened.folder, &spec);
  return spec;
}

}  // namespace lm
