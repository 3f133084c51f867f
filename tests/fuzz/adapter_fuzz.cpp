// adapter_config.json from hostile bytes, over adapters that are fine, and whole adapters in GGUF.
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/formats/adapter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<float> kValues(64, 0.5f);
  static const auto* values = reinterpret_cast<const std::byte*>(kValues.data());
  static const lm::TensorMap kPeft = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
       {values, lm::DType::f32, {2, 8}}},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
       {values, lm::DType::f32, {8, 2}}}};
  static const lm::TensorMap kDora = [] {
    lm::TensorMap out = kPeft;
    out["base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"] = {
        values, lm::DType::f32, {8}};
    return out;
  }();
  static const lm::TensorMap kIa3 = {
      {"base_model.model.model.layers.0.mlp.down_proj.ia3_l", {values, lm::DType::f32, {1, 8}}}};
  static const lm::TensorMap kPrompt = {{"prompt_embeddings", {values, lm::DType::f32, {2, 32}}}};
  static const lm::TensorMap kMlx = {{"model.q_proj.lora_a", {values, lm::DType::f32, {8, 2}}},
                                     {"model.q_proj.lora_b", {values, lm::DType::f32, {2, 8}}}};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto run = [](auto&& f) {
    try {
      f();
    } catch (const lm::Error&) {
    }
  };
  for (const lm::TensorMap* tensors : {&kPeft, &kDora, &kIa3, &kPrompt})
    run([&] { lm::parse_peft_adapter(text, *tensors, "fuzz"); });
  run([&] { lm::parse_mlx_adapter(text, kMlx, "fuzz"); });
  run([&] {
    lm::parse_gguf_adapter(lm::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz"),
                           "fuzz");
  });
  return 0;
}
