// Loads a model: opens its files, describes the architecture, packs the weights.
#include "engine/api/model.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/core/error.h"
#include "engine/models/adapter_names.h"
#include "engine/models/adapter_rows.h"
#include "engine/models/adapters.h"
#include "engine/models/arch.h"
#include "engine/models/linear_list.h"
#include "engine/models/model_weights.h"
#include "engine/models/open_model.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

// The type that holds most bytes.
std::string main_dtype(const TensorMap& tensors) {
  std::map<DType, int64_t> bytes;
  for (const auto& [name, view] : tensors) bytes[view.dtype] += view.size_bytes();
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "" : dtype_name(most->first);
}

ModelInfo describe(const OpenedModel& o, const std::string& path, const LoadOptions& options) {
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
  std::vector<std::shared_ptr<MappedFile>> files;  // what `tensors` point into
};

Model::Model() = default;
Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const std::string& path, const LoadOptions& options) {
  const Precision precision = precision_of(options.precision);
  const auto& kv = options.kv_cache;
  LM_CHECK(kv == "f16" || kv == "bf16" || kv == "int8" || kv == "int4", ErrorCode::bad_option,
           "kv_cache is \"{}\"; expected \"f16\", \"bf16\", \"int8\" or \"int4\"", kv);
  LM_CHECK(options.kv_cache_tokens >= 0, ErrorCode::bad_option,
           "kv_cache_tokens is {}; expected 0 or more", options.kv_cache_tokens);
  OpenedModel o = open_model(path);
  std::shared_ptr<Model> model(new Model);
  model->info_ = describe(o, path, options);
  model->spec_ = std::make_unique<ModelSpec>(describe_model(o));
  model->info_.context_length = model->spec_->context_length;
  model->weights_ = std::make_unique<ModelWeights>(
      pack_weights(*model->spec_, o.file, precision, options.progress, options.measure));
  if (options.mlock && !options.measure)
    for_each_linear(*model->weights_, [](const LinearWeights& linear) {
      for (const auto& part : linear.parts) part->data.lock();
    });
  model->base_ = std::make_unique<const Model::Base>(
      Model::Base{o.config, std::move(o.file.tensors), o.file.files});
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
  const Arch& arch = find_arch(base_->config.architecture);
  fit_adapter(&adapter, arch, base_->config, base_->tensors);
  resolve_magnitudes(&adapter, arch, base_->config, base_->tensors);
  fs::path file = fs::path(path).lexically_normal();
  if (!file.has_filename()) file = file.parent_path();  // "folder/"
  const std::string chosen = name.empty() ? file.stem().string() : name;
  const auto loaded = load_adapter(adapter, chosen, static_cast<float>(scale), *spec_, *weights_);
  loaded->path = path;
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
