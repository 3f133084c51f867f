// Opens a model whatever its format: finds the files, reads configuration and tensors, describes
// the architecture, packs the weights, loads tokenizer and chat template.
#include "engine/api/model.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "engine/core/error.h"
#include "engine/models/adapter_names.h"
#include "engine/models/adapters.h"
#include "engine/models/arch.h"
#include "engine/models/linear_list.h"
#include "engine/models/model_weights.h"
#include "engine/models/pooling.h"
#include "engine/models/rwkv.h"
#include "engine/text/chat_template.h"
#include "engine/text/chat_template_file.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// What a format's opener finds.
struct Opened {
  ModelConfig config;
  TensorFile file;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string chat_template;
  const char* format = "";
  std::string folder;  // of a Hugging Face model
};

Opened open_gguf(const std::string& path) {
  const auto file = std::make_shared<const GgufFile>(GgufFile::open(path));
  const GgufFile& gguf = *file;
  Opened o;
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
Opened open_folder(const std::string& path) {
  const std::string folder = fs::is_directory(path) ? path : fs::path(path).parent_path().string();
  const std::string config = (folder.empty() ? "." : folder) + "/config.json";
  LM_CHECK(fs::exists(config), ErrorCode::not_found,
           "\"{}\" has no config.json beside its weights; expected a Hugging Face model folder or "
           "a .gguf file",
           path);
  Opened o;
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
Opened open_llama2c_model(const std::string& path) {
  Opened o;
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
std::optional<Opened> open_rwkv(const std::string& path, TensorFile file, bool gguf_layout,
                                const char* format) {
  const auto config = rwkv_config(file.tensors, gguf_layout, path);
  if (!config) return std::nullopt;
  Opened o;
  o.format = format;
  o.config = *config;
  o.file = std::move(file);
  o.file.tensors = rename_tensors(find_arch(o.config.architecture), std::move(o.file.tensors));
  o.tokenizer = tokenizer_in(fs::path(path).parent_path().string(), o.config.vocab_size);
  return o;
}

// A checkpoint beside its config.json, or one that needs none.
Opened open_torch_file(const std::string& path) {
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

Opened open_any(const std::string& path) {
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

// The type that holds most bytes.
std::string main_dtype(const TensorMap& tensors) {
  std::map<DType, int64_t> bytes;
  for (const auto& [name, view] : tensors) bytes[view.dtype] += view.size_bytes();
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "" : dtype_name(most->first);
}

ModelInfo describe(const Opened& o, const std::string& path, const LoadOptions& options) {
  const ModelConfig& c = o.config;
  ModelInfo info;
  info.path = path;
  info.name = c.name.empty() ? fs::path(path).stem().string() : c.name;
  info.architecture = c.architecture;
  info.format = o.format;
  info.dtype = main_dtype(o.file.tensors);
  info.precision = options.precision;
  info.kv_cache_tokens = options.kv_cache_tokens;
  info.kv_cache = options.precision == "exact" ? "f32" : options.kv_cache;
  info.tokenizer = o.tokenizer->kind();
  if (!c.reads_images) info.warning = o.tokenizer->warning();  // those have no texts
  for (const auto& file : o.file.files)
    info.file_bytes += static_cast<int64_t>(file->bytes().size());
  info.n_layers = c.n_layers;
  info.hidden_size = c.hidden_size;
  info.n_heads = c.n_heads;
  info.n_kv_heads = c.n_kv_heads;
  info.head_dim = c.head_dim;
  info.ffn_size = c.ffn_size;
  info.vocab_size = c.vocab_size;
  info.has_chat_template = !o.chat_template.empty();
  return info;
}

}  // namespace

namespace {

Precision precision_of(const std::string& name) {
  if (name == "fast") return Precision::fast;
  if (name == "high") return Precision::high;
  LM_CHECK(name == "exact", ErrorCode::bad_option,
           "precision is \"{}\"; expected \"fast\", \"high\" or \"exact\"", name);
  return Precision::exact;
}

}  // namespace

struct Model::Base {
  ModelConfig config;
  TensorMap tensors;
};

Model::Model() = default;
Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const std::string& path, const LoadOptions& options) {
  const Precision precision = precision_of(options.precision);
  const auto& kv = options.kv_cache;
  LM_CHECK(kv == "f16" || kv == "bf16" || kv == "int8", ErrorCode::bad_option,
           "kv_cache is \"{}\"; expected \"f16\", \"bf16\" or \"int8\"", kv);
  LM_CHECK(options.kv_cache_tokens >= 0, ErrorCode::bad_option,
           "kv_cache_tokens is {}; expected 0 or more", options.kv_cache_tokens);
  Opened o = open_any(path);
  std::shared_ptr<Model> model(new Model);
  model->info_ = describe(o, path, options);
  model->spec_ = std::make_unique<ModelSpec>(
      find_arch(o.config.architecture).describe(o.config, o.file.tensors));
  read_gguf_pooling(*o.config.source, model->spec_.get());
  if (!o.folder.empty()) read_sentence_transformers(o.folder, model->spec_.get());
  model->info_.context_length = model->spec_->context_length;
  model->weights_ = std::make_unique<ModelWeights>(
      pack_weights(*model->spec_, o.file, precision, options.progress, options.measure));
  if (options.mlock && !options.measure)
    for_each_linear(*model->weights_, [](const LinearWeights& linear) {
      for (const auto& part : linear.parts) part->data.lock();
    });
  model->base_ =
      std::make_unique<const Model::Base>(Model::Base{o.config, std::move(o.file.tensors)});
  model->tokenizer_ = o.tokenizer;
  if (!o.chat_template.empty()) model->template_ = std::make_unique<ChatTemplate>(o.chat_template);
  model->info_.n_params = model->weights_->n_params;
  model->info_.memory_bytes = model->weights_->packed_bytes;
  model->info_.kv_bytes_per_token =
      kv_bytes_per_token(*model->spec_, kv_type_of(model->info_.kv_cache));
  return model;
}

void* Model::runtime(const std::function<std::shared_ptr<void>()>& make) const {
  const std::lock_guard lock(runtime_mutex_);
  if (!runtime_) runtime_ = make();
  return runtime_.get();
}

std::shared_ptr<const AdapterSet> Model::adapters() const {
  const std::lock_guard lock(adapters_mutex_);
  return adapters_;
}

void Model::add_adapter(const std::string& path, const std::string& name, double scale) const {
  Adapter adapter = open_adapter(path);
  fit_adapter(&adapter, find_arch(base_->config.architecture), base_->config, base_->tensors);
  fs::path file = fs::path(path).lexically_normal();
  if (!file.has_filename()) file = file.parent_path();  // "folder/"
  const std::string chosen = name.empty() ? file.stem().string() : name;
  const auto loaded = load_adapter(adapter, chosen, static_cast<float>(scale), *weights_);
  const std::lock_guard lock(adapters_mutex_);
  auto set = adapters_ ? std::make_shared<AdapterSet>(*adapters_) : std::make_shared<AdapterSet>();
  for (const auto& other : set->adapters)
    LM_CHECK(other->name != chosen, ErrorCode::bad_option,
             "the model has an adapter \"{}\" already; remove it first or give another name",
             chosen);
  set->adapters.push_back(loaded);
  adapters_ = std::move(set);
}

void Model::remove_adapter(const std::string& name) const {
  const std::lock_guard lock(adapters_mutex_);
  auto set = adapters_ ? std::make_shared<AdapterSet>(*adapters_) : std::make_shared<AdapterSet>();
  std::string names;
  for (const auto& adapter : set->adapters) names += (names.empty() ? "" : ", ") + adapter->name;
  const auto gone = std::erase_if(set->adapters, [&](const auto& a) { return a->name == name; });
  LM_CHECK(gone > 0, ErrorCode::not_found, "the model has no adapter \"{}\"; it has {}", name,
           names.empty() ? "none" : names);
  adapters_ = set->adapters.empty() ? nullptr : std::move(set);
}

}  // namespace lm
