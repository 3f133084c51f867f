#include "engine/formats/adapter_writer.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/output_file.h"
#include "engine/formats/safetensors_writer.h"

namespace lm {

using nlohmann::json;

namespace {

OutputTensor tensor(const std::string& name, const std::vector<float>& values, int64_t rows,
                    int64_t cols) {
  return {name, DType::f32, {rows, cols}, [&values](const ByteSink& sink) {
            sink(std::as_bytes(std::span(values)));
          }};
}

json config_json(const PeftConfig& c) {
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", c.base_model},
          {"revision", nullptr},
          {"inference_mode", true},
          {"r", c.rank},
          {"lora_alpha",
           c.alpha == std::floor(c.alpha) ? json(static_cast<int64_t>(c.alpha)) : json(c.alpha)},
          {"lora_dropout", c.dropout},
          {"bias", "none"},
          {"target_modules", c.target_modules},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"use_rslora", c.rslora},
          {"use_dora", false},
          {"rank_pattern", json::object()},
          {"alpha_pattern", json::object()},
          {"modules_to_save", nullptr},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr}};
}

}  // namespace

void write_peft_adapter(const Adapter& adapter, const PeftConfig& config,
                        const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::vector<OutputTensor> tensors;
  for (const AdapterTensor& t : adapter.tensors) {
    const std::string module = "base_model.model." + t.name.substr(0, t.name.rfind(".weight"));
    tensors.push_back(tensor(module + ".lora_A.weight", t.a, t.rank, t.in));
    tensors.push_back(tensor(module + ".lora_B.weight", t.b, t.out, t.rank));
  }
  write_safetensors(folder, "adapter_model", tensors);
  OutputFile file(folder + "/adapter_config.json");
  file.write(config_json(config).dump(2) + "\n");
  file.commit();
}

}  // namespace lm
