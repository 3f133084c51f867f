#include "engine/formats/adapter_writer.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/output_file.h"
#include "engine/formats/safetensors_writer.h"

namespace lm {

using nlohmann::json;

namespace {

OutputTensor tensor(const std::string& name, const std::vector<float>& values, Shape shape) {
  return {name, DType::f32, std::move(shape),
          [&values](const ByteSink& sink) { sink(std::as_bytes(std::span(values))); }};
}

std::string module_path(const AdapterTensor& t) {
  return "base_model.model." + t.name.substr(0, t.name.rfind(".weight"));
}

bool is_ia3(const AdapterTensor& t) {
  return !t.out_factor.empty() || !t.in_factor.empty();
}

std::vector<OutputTensor> output_tensors(const Adapter& adapter) {
  std::vector<OutputTensor> out;
  for (const AdapterTensor& t : adapter.tensors) {
    const std::string module = module_path(t);
    if (!t.out_factor.empty()) {
      out.push_back(tensor(module + ".ia3_l", t.out_factor, {t.out, 1}));
    } else if (!t.in_factor.empty()) {
      out.push_back(tensor(module + ".ia3_l", t.in_factor, {1, t.in}));
    } else {
      out.push_back(tensor(module + ".lora_A.weight", t.a, {t.rank, t.in}));
      out.push_back(tensor(module + ".lora_B.weight", t.b, {t.out, t.rank}));
    }
    if (!t.magnitude.empty())
      out.push_back(tensor(module + ".lora_magnitude_vector", t.magnitude, {t.out}));
  }
  const VirtualTokens& v = adapter.virtual_tokens;
  if (v.n > 0) out.push_back(tensor("prompt_embeddings", v.values, {v.n, v.width}));
  return out;
}

json common(const PeftConfig& c, const char* type) {
  return {{"peft_type", type},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", c.base_model},
          {"revision", nullptr},
          {"inference_mode", true}};
}

json lora_json(const PeftConfig& c, bool dora) {
  json j = common(c, "LORA");
  j.update(json{{"r", c.rank},
                {"lora_alpha", c.alpha == std::floor(c.alpha) ? json(static_cast<int64_t>(c.alpha))
                                                              : json(c.alpha)},
                {"lora_dropout", c.dropout},
                {"bias", "none"},
                {"target_modules", c.target_modules},
                {"fan_in_fan_out", false},
                {"init_lora_weights", true},
                {"use_rslora", c.rslora},
                {"use_dora", dora},
                {"rank_pattern", json::object()},
                {"alpha_pattern", json::object()},
                {"modules_to_save", nullptr},
                {"layers_to_transform", nullptr},
                {"layers_pattern", nullptr}});
  return j;
}

json ia3_json(const PeftConfig& c, const Adapter& adapter) {
  std::set<std::string> feedforward;
  for (const AdapterTensor& t : adapter.tensors) {
    const std::string module = module_path(t);
    if (!t.in_factor.empty()) feedforward.insert(module.substr(module.rfind('.') + 1));
  }
  json j = common(c, "IA3");
  j.update(json{{"target_modules", c.target_modules},
                {"feedforward_modules", feedforward},
                {"fan_in_fan_out", false},
                {"init_ia3_weights", true},
                {"modules_to_save", nullptr}});
  return j;
}

json virtual_tokens_json(const PeftConfig& c, const VirtualTokens& v) {
  const bool prefix = v.kind == VirtualTokens::Kind::prefix;
  json j = common(c, prefix ? "PREFIX_TUNING" : "PROMPT_TUNING");
  const int64_t token_dim = prefix ? v.width / (2 * v.n_layers) : v.width;
  j.update(json{{"num_virtual_tokens", v.n},
                {"token_dim", token_dim},
                {"num_transformer_submodules", 1},
                {"num_attention_heads", v.n_heads},
                {"num_layers", v.n_layers}});
  if (prefix)
    j.update(json{{"encoder_hidden_size", token_dim}, {"prefix_projection", false}});
  else
    j.update(json{{"prompt_tuning_init", "RANDOM"},
                  {"prompt_tuning_init_text", nullptr},
                  {"tokenizer_name_or_path", nullptr}});
  return j;
}

json config_json(const PeftConfig& c, const Adapter& adapter) {
  if (adapter.virtual_tokens.n > 0) return virtual_tokens_json(c, adapter.virtual_tokens);
  const auto& tensors = adapter.tensors;
  if (!tensors.empty() && is_ia3(tensors[0])) return ia3_json(c, adapter);
  return lora_json(c, !tensors.empty() && !tensors[0].magnitude.empty());
}

}  // namespace

void write_peft_adapter(const Adapter& adapter, const PeftConfig& config,
                        const std::string& folder) {
  std::filesystem::create_directories(folder);
  write_safetensors(folder, "adapter_model", output_tensors(adapter));
  OutputFile file(folder + "/adapter_config.json");
  file.write(config_json(config, adapter).dump(2) + "\n");
  file.commit();
}

}  // namespace lm
