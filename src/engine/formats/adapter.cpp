#include "engine/formats/adapter.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/formats/json_file.h"

namespace lm {

using nlohmann::json;

namespace {

constexpr int64_t kMaxRank = 65536;

// A matrix of an adapter as floats.
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;

  Matrix transposed() const {
    Matrix t{cols, rows, std::vector<float>(values.size())};
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        t.values[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
    return t;
  }
};

float element(const TensorView& v, int64_t i) {
  if (v.dtype == DType::f32) {
    float f;
    std::copy_n(v.data + i * 4, 4, reinterpret_cast<std::byte*>(&f));
    return f;
  }
  uint16_t h;
  std::copy_n(v.data + i * 2, 2, reinterpret_cast<std::byte*>(&h));
  return v.dtype == DType::f16 ? half_to_float(h) : bf16_to_float(h);
}

Matrix read_matrix(const TensorView& v, const std::string& tensor, const std::string& file) {
  LM_CHECK(v.shape.size() == 2, ErrorCode::unsupported,
           "{}: tensor \"{}\" has shape {}; adapters of matrices are supported", file, tensor,
           shape_string(v.shape));
  LM_CHECK(v.dtype == DType::f32 || v.dtype == DType::f16 || v.dtype == DType::bf16,
           ErrorCode::unsupported,
           "{}: tensor \"{}\" is stored as {}; f32, f16 and bf16 are supported", file, tensor,
           dtype_name(v.dtype));
  Matrix m{v.shape[0], v.shape[1], std::vector<float>(static_cast<size_t>(v.numel()))};
  for (int64_t i = 0; i < v.numel(); ++i) m.values[static_cast<size_t>(i)] = element(v, i);
  return m;
}

// The two halves of each adapted matrix, by the name of W.
using Pairs = std::map<std::string, std::pair<Matrix, Matrix>>;

AdapterTensor make_tensor(const std::string& name, Matrix a, Matrix b, const std::string& file) {
  LM_CHECK(!a.values.empty() && !b.values.empty(), ErrorCode::bad_file,
           "{}: \"{}\" has only one of its two matrices A and B", file, name);
  LM_CHECK(a.rows == b.cols && a.rows <= kMaxRank, ErrorCode::bad_file,
           "{}: \"{}\" has A {}x{} and B {}x{}; expected A [r, in] and B [out, r]", file, name,
           a.rows, a.cols, b.rows, b.cols);
  return {name, a.rows, a.cols, b.rows, std::move(a.values), std::move(b.values), 1.0f};
}

json config_object(std::string_view text, const std::string& name) {
  json config = parse_json(text, name);
  LM_CHECK(config.is_object(), ErrorCode::bad_file, "{}: not a JSON object", name);
  return config;
}

double number_or(const json& object, const char* key, double fallback, const std::string& file) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  LM_CHECK(it->is_number(), ErrorCode::bad_file, "{}: \"{}\" is {}; expected a number", file, key,
           it->dump());
  return it->get<double>();
}

bool flag(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

std::string string_or(const json& object, const char* key, const char* fallback) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : fallback;
}

// PEFT's patterns are regular expressions for the end of a module's name. In practice they are
// names, perhaps with "^" in front and "\." for dots: those are understood.
bool matches(std::string pattern, const std::string& module, const std::string& file) {
  const bool whole = pattern.starts_with('^');
  if (whole) pattern.erase(0, 1);
  std::string plain;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size() && pattern[i + 1] == '.') continue;
    plain += pattern[i];
  }
  LM_CHECK(plain.find_first_of("\\*+?[](){}|^$") == std::string::npos, ErrorCode::unsupported,
           "{}: the pattern \"{}\" is not a module's name; those are supported", file, pattern);
  if (whole) return module == plain;
  return module == plain || module.ends_with("." + plain);
}

// "base_model.model.X.lora_A[.adapter].weight" -> module X and which half; false for other names.
bool split_peft_name(std::string_view name, std::string* module, std::string* half) {
  for (const char* marker : {".lora_A", ".lora_B", ".lora_embedding_A", ".lora_embedding_B"}) {
    const size_t at = name.find(marker);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + std::string_view(marker).size());
    if (!rest.empty() && rest[0] != '.') continue;
    std::string_view head = name.substr(0, at);
    if (head.starts_with("base_model.model.")) head.remove_prefix(17);
    *module = head;
    *half = marker + 1;
    return true;
  }
  return false;
}

void sort_by_name(Adapter* adapter) {
  std::sort(adapter->tensors.begin(), adapter->tensors.end(),
            [](const AdapterTensor& x, const AdapterTensor& y) { return x.name < y.name; });
}

}  // namespace

int64_t Adapter::n_params() const {
  int64_t n = 0;
  for (const AdapterTensor& t : tensors) n += t.rank * (t.in + t.out);
  return n;
}

Adapter parse_peft_adapter(std::string_view text, const TensorMap& tensors,
                           const std::string& name) {
  const json config = config_object(text, name);
  const std::string type = string_or(config, "peft_type", "LORA");
  LM_CHECK(type == "LORA", ErrorCode::unsupported, "{}: peft_type is \"{}\"; LORA is supported",
           name, type);
  LM_CHECK(!flag(config, "use_dora"), ErrorCode::unsupported,
           "{}: a DoRA adapter; plain LoRA is supported", name);
  const double alpha = number_or(config, "lora_alpha", 8, name);
  const bool rslora = flag(config, "use_rslora");
  const json patterns = config.value("alpha_pattern", json());

  Adapter out;
  out.name = name;
  out.format = "peft";
  out.base = string_or(config, "base_model_name_or_path", "");
  Pairs pairs;
  std::map<std::string, std::string> modules;
  for (const auto& [tensor, view] : tensors) {
    std::string module, half;
    LM_CHECK(
        split_peft_name(tensor, &module, &half), ErrorCode::unsupported,
        "{}: tensor \"{}\" is not part of a LoRA pair; biases and whole modules in adapters are "
        "not supported",
        name, tensor);
    Matrix m = read_matrix(view, tensor, name);
    auto& [a, b] = pairs[module + ".weight"];
    modules[module + ".weight"] = module;
    // An embedding W [vocabulary, size] is changed by the transpose of B A.
    if (half == "lora_embedding_A")
      b = m.transposed();
    else if (half == "lora_embedding_B")
      a = m.transposed();
    else
      (half == "lora_A" ? a : b) = std::move(m);
  }
  for (auto& [weight, pair] : pairs) {
    AdapterTensor t = make_tensor(weight, std::move(pair.first), std::move(pair.second), name);
    double own = alpha;
    if (patterns.is_object())
      for (const auto& [pattern, value] : patterns.items())
        if (matches(pattern, modules[weight], name))
          own = number_or(patterns, pattern.c_str(), alpha, name);
    const auto rank = static_cast<double>(t.rank);
    t.scale = static_cast<float>(own / (rslora ? std::sqrt(rank) : rank));
    out.tensors.push_back(std::move(t));
  }
  sort_by_name(&out);
  return out;
}

Adapter parse_mlx_adapter(std::string_view text, const TensorMap& tensors,
                          const std::string& name) {
  const json config = config_object(text, name);
  const std::string type = string_or(config, "fine_tune_type", "lora");
  LM_CHECK(type == "lora", ErrorCode::unsupported,
           "{}: fine_tune_type is \"{}\"; lora is supported", name, type);
  const auto parameters = config.find("lora_parameters");
  LM_CHECK(parameters != config.end() && parameters->is_object(), ErrorCode::bad_file,
           "{}: no \"lora_parameters\" object", name);
  const auto scale =
      static_cast<float>(number_or(*parameters, "scale", 20.0, name));  // mlx-lm's default

  Adapter out;
  out.name = name;
  out.format = "mlx";
  out.base = string_or(config, "model", "");
  Pairs pairs;
  for (const auto& [tensor, view] : tensors) {
    const bool is_a = tensor.ends_with(".lora_a"), is_b = tensor.ends_with(".lora_b");
    LM_CHECK(is_a || is_b, ErrorCode::unsupported,
             "{}: tensor \"{}\" is not part of a LoRA pair (lora_a, lora_b)", name, tensor);
    auto& [a, b] = pairs[tensor.substr(0, tensor.size() - 7) + ".weight"];
    (is_a ? a : b) =
        read_matrix(view, tensor, name).transposed();  // stored as [in, r] and [r, out]
  }
  for (auto& [weight, pair] : pairs) {
    out.tensors.push_back(make_tensor(weight, std::move(pair.first), std::move(pair.second), name));
    out.tensors.back().scale = scale;
  }
  sort_by_name(&out);
  return out;
}

Adapter parse_gguf_adapter(const GgufFile& file, const std::string& name) {
  LM_CHECK(file.get_string("general.type").value_or("model") == "adapter" &&
               file.get_string("adapter.type").value_or("lora") == "lora",
           ErrorCode::unsupported,
           "{}: not a LoRA adapter (general.type \"{}\", adapter.type \"{}\")", name,
           file.get_string("general.type").value_or("model"),
           file.get_string("adapter.type").value_or(""));
  const double alpha = file.get_float("adapter.lora.alpha").value_or(0.0);
  Adapter out;
  out.name = name;
  out.format = "gguf";
  out.base = file.get_string("general.base_model.0.name").value_or("");
  out.architecture = file.get_string("general.architecture").value_or("");
  out.gguf_layout = true;
  Pairs pairs;
  for (const std::string& tensor : file.tensor_names()) {
    const bool is_a = tensor.ends_with(".lora_a"), is_b = tensor.ends_with(".lora_b");
    LM_CHECK(is_a || is_b, ErrorCode::unsupported,
             "{}: tensor \"{}\" is not part of a LoRA pair (lora_a, lora_b)", name, tensor);
    auto& [a, b] = pairs[tensor.substr(0, tensor.size() - 7)];
    (is_a ? a : b) = read_matrix(*file.tensor(tensor), tensor, name);
  }
  for (auto& [weight, pair] : pairs) {
    auto& [a, b] = pair;
    if (weight == "token_embd.weight") {  // stored as [vocabulary, r] and [size, r]
      std::swap(a, b);
      a = a.transposed();
    }
    AdapterTensor t = make_tensor(weight, std::move(a), std::move(b), name);
    if (alpha != 0.0) t.scale = static_cast<float>(alpha / static_cast<double>(t.rank));
    out.tensors.push_back(std::move(t));
  }
  sort_by_name(&out);
  return out;
}

Adapter open_adapter(const std::string& path) {
  namespace fs = std::filesystem;
  LM_CHECK(fs::exists(path), ErrorCode::not_found, "no adapter \"{}\"", path);
  if (!fs::is_directory(path)) return parse_gguf_adapter(GgufFile::open(path), path);
  const std::string config = path + "/adapter_config.json";
  LM_CHECK(
      fs::exists(config), ErrorCode::not_found,
      "\"{}\" has no adapter_config.json; expected a folder of PEFT or mlx-lm, or a GGUF adapter",
      path);
  const std::string text = read_file(config, size_t{1} << 22);
  if (fs::exists(path + "/adapters.safetensors"))
    return parse_mlx_adapter(text, open_checkpoint(path + "/adapters.safetensors").tensors, path);
  for (const char* file : {"/adapter_model.safetensors", "/adapter_model.bin"})
    if (fs::exists(path + file))
      return parse_peft_adapter(text, open_checkpoint(path + file).tensors, path);
  raise(ErrorCode::not_found,
        "\"{}\" has no adapter_model.safetensors, adapter_model.bin or adapters.safetensors", path);
}

}  // namespace lm
