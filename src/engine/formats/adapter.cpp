#include "engine/formats/adapter.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/adapter_parts.h"
#include "engine/formats/json_file.h"

namespace lm {

using namespace adapter_parts;
using nlohmann::json;

int64_t Adapter::n_params() const {
  auto n = static_cast<int64_t>(virtual_tokens.values.size());
  for (const AdapterTensor& t : tensors)
    n += static_cast<int64_t>(t.a.size() + t.b.size() + t.magnitude.size() + t.out_factor.size() +
                              t.in_factor.size());
  return n;
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
