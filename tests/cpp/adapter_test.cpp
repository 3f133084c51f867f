// LoRA adapters: real ones of PEFT and mlx-lm, rules of scale by hand, fitting to a base, and bad
// ones.
#include "engine/formats/adapter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/gguf_writer.h"
#include "engine/models/adapter_names.h"
#include "test_data.h"

using namespace lm;

namespace {

// Tensors that own their floats.
struct Tensors {
  TensorMap map;
  std::vector<std::vector<float>> values;
  Tensors() { values.reserve(64); }
  Tensors& add(const std::string& name, Shape shape, std::vector<float> x = {}) {
    TensorView view{nullptr, DType::f32, std::move(shape)};
    if (x.empty())
      for (int64_t i = 0; i < view.numel(); ++i) x.push_back(static_cast<float>(i + 1));
    values.push_back(std::move(x));
    view.data = reinterpret_cast<const std::byte*>(values.back().data());
    map.emplace(name, view);
    return *this;
  }
  // A and B of a module, [r, in] and [out, r].
  Tensors& pair(const std::string& module, int64_t r, int64_t in, int64_t out) {
    return add("base_model.model." + module + ".lora_A.weight", {r, in})
        .add("base_model.model." + module + ".lora_B.weight", {out, r});
  }
};

template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    CHECK((e.code() == ErrorCode::bad_file || e.code() == ErrorCode::unsupported ||
           e.code() == ErrorCode::not_found));
    return e.message();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Adapter peft(const std::string& config, const Tensors& t) {
  return parse_peft_adapter(config, t.map, "a");
}

ModelConfig config(bool gguf, int64_t heads, int64_t kv_heads) {
  ModelConfig c;
  c.gguf_layout = gguf;
  c.n_heads = heads;
  c.n_kv_heads = kv_heads;
  return c;
}

}  // namespace

TEST_CASE("a PEFT adapter for gpt2: 12 layers of c_attn, rank 16, scale alpha / r") {
  const auto path = lm_test::test_data("models/adapters/peft-gpt2-lora");
  if (!path) return;
  Adapter a = open_adapter(*path);
  CHECK(a.format == "peft");
  CHECK(a.base == "gpt2");
  REQUIRE(a.tensors.size() == 12);
  CHECK(a.n_params() == 12 * 16 * (768 + 2304));
  for (const AdapterTensor& t : a.tensors) {
    CHECK(t.rank == 16);
    CHECK(t.in == 768);
    CHECK(t.out == 2304);
    CHECK(t.scale == 1.0f);
  }
  Tensors base;
  for (int i = 0; i < 12; ++i)
    base.map.emplace("blk." + std::to_string(i) + ".attn_qkv.weight",
                     TensorView{nullptr, DType::f32, {768, 2304}});
  fit_adapter(&a, find_arch("gpt2"), config(false, 12, 12), base.map);  // Conv1D: [in, out]
  CHECK(a.tensors[0].name == "blk.0.attn_qkv.weight");
}

TEST_CASE(
    "an mlx-lm adapter for Qwen2.5-0.5B: q and v of the last two layers, scale 20; fits that model "
    "only") {
  const auto path = lm_test::test_data("models/adapters/mlx-qwen2.5-lora");
  if (!path) return;
  Adapter a = open_adapter(*path);
  CHECK(a.format == "mlx");
  REQUIRE(a.tensors.size() == 4);
  CHECK(a.tensors[0].name == "model.layers.22.self_attn.q_proj.weight");
  CHECK(a.tensors[1].name == "model.layers.22.self_attn.v_proj.weight");
  CHECK(a.tensors[1].out == 128);
  CHECK(a.tensors[1].in == 896);
  CHECK(a.tensors[1].rank == 8);
  CHECK(a.tensors[1].scale == 20.0f);
  Tensors base;
  for (int i = 22; i < 24; ++i) {
    const std::string stem = "blk." + std::to_string(i);
    base.map.emplace(stem + ".attn_q.weight", TensorView{nullptr, DType::q5_0, {896, 896}});
    base.map.emplace(stem + ".attn_v.weight", TensorView{nullptr, DType::q8_0, {128, 896}});
  }
  Adapter fitted = a;
  fit_adapter(&fitted, find_arch("qwen2"), config(true, 14, 2), base.map);
  CHECK(fitted.tensors[3].name == "blk.23.attn_v.weight");
  CHECK(fitted.tensors[3].b == a.tensors[3].b);
  base.map["blk.23.attn_v.weight"].shape = {256, 896};
  CHECK(contains(
      error_of([&] { fit_adapter(&a, find_arch("qwen2"), config(true, 14, 2), base.map); }),
      "as [128, 896]; the model's has shape [256, 896]: it was made for another base"));
}

// peft/tuners/lora/layer.py: scaling = alpha / r, or alpha / sqrt(r) with use_rslora; patterns
// override alpha by module.
TEST_CASE("PEFT: rslora, alpha_pattern, adapter names inside of tensor names, embeddings") {
  Tensors t;
  t.pair("model.layers.0.self_attn.q_proj", 4, 3, 2).pair("model.layers.10.mlp.up_proj", 4, 3, 2);
  t.add("base_model.model.lm_head.lora_A.default.weight", {4, 3})
      .add("base_model.model.lm_head.lora_B.default.weight", {5, 4});
  t.add("base_model.model.model.embed_tokens.lora_embedding_A", {2, 5})
      .add("base_model.model.model.embed_tokens.lora_embedding_B", {3, 2});
  const Adapter a = peft(R"({"peft_type":"LORA","lora_alpha":8,"use_rslora":true,
                             "alpha_pattern":{"layers\\.10.mlp.up_proj":16,"^lm_head":2,"0.self_attn":1}})",
                         t);
  REQUIRE(a.tensors.size() == 4);
  CHECK(a.tensors[0].name == "lm_head.weight");
  CHECK(a.tensors[0].scale == 1.0f);
  CHECK(a.tensors[1].name == "model.embed_tokens.weight");
  CHECK(a.tensors[1].out == 5);
  CHECK(a.tensors[1].in == 3);
  CHECK(a.tensors[1].b == std::vector<float>{1, 6, 2, 7, 3, 8, 4, 9, 5, 10});
  CHECK(a.tensors[1].a == std::vector<float>{1, 3, 5, 2, 4, 6});
  CHECK(a.tensors[2].name == "model.layers.0.self_attn.q_proj.weight");
  CHECK(a.tensors[2].scale == 4.0f);
  CHECK(a.tensors[3].scale == 8.0f);
}

TEST_CASE("the rows of B follow W into GGUF's order of rotary pairs, and back") {
  Tensors t;
  t.pair("model.layers.0.self_attn.q_proj", 1, 8, 8)
      .pair("model.layers.0.self_attn.k_proj", 1, 8, 4);
  Tensors base;
  base.map.emplace("blk.0.attn_q.weight", TensorView{nullptr, DType::f32, {8, 8}});
  base.map.emplace("blk.0.attn_k.weight", TensorView{nullptr, DType::f32, {4, 8}});
  Adapter a = peft(R"({"lora_alpha":1})", t);
  Adapter same = a;
  fit_adapter(&same, find_arch("llama"), config(false, 2, 1), base.map);
  CHECK(same.tensors[1].b == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  fit_adapter(&a, find_arch("llama"), config(true, 2, 1), base.map);
  // convert_hf_to_gguf.py, permute(): reshape(heads, 2, d / 2).swapaxes(1, 2)
  CHECK(a.tensors[1].name == "blk.0.attn_q.weight");
  CHECK(a.tensors[1].b == std::vector<float>{1, 3, 2, 4, 5, 7, 6, 8});
  CHECK(a.tensors[0].b == std::vector<float>{1, 3, 2, 4});
  fit_adapter(&a, find_arch("llama"), config(false, 2, 1), base.map);
  CHECK(a.tensors[1].b == same.tensors[1].b);
}

TEST_CASE("GGUF adapters: scale alpha / r; for another architecture they are refused") {
  const lm_test::TemporaryFolder folder;
  GgufMetadata m;
  m.set_string("general.architecture", "llama");
  m.set_string("general.type", "adapter");
  m.set_string("adapter.type", "lora");
  m.set_f32("adapter.lora.alpha", 8);
  const auto tensor = [](const char* name, Shape shape) {
    return OutputTensor{name, DType::f32, shape, [n = shape[0] * shape[1]](const ByteSink& sink) {
                          std::vector<float> x(static_cast<size_t>(n));
                          for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
                          sink(std::as_bytes(std::span(x)));
                        }};
  };
  const std::string path = folder.path / "a.gguf";
  write_gguf(
      path, m,
      {tensor("blk.0.ffn_up.weight.lora_a", {2, 3}), tensor("blk.0.ffn_up.weight.lora_b", {4, 2}),
       tensor("token_embd.weight.lora_a", {5, 2}), tensor("token_embd.weight.lora_b", {3, 2})});
  Adapter a = open_adapter(path);
  REQUIRE(a.tensors.size() == 2);
  CHECK(a.tensors[0].name == "blk.0.ffn_up.weight");
  CHECK(a.tensors[0].scale == 4.0f);
  CHECK(a.tensors[1].out == 5);
  CHECK(a.tensors[1].in == 3);
  CHECK(a.tensors[1].a == std::vector<float>{0, 2, 4, 1, 3, 5});
  CHECK(contains(error_of([&] { fit_adapter(&a, find_arch("qwen2"), config(true, 2, 1), {}); }),
                 "is for llama; the model is qwen2"));
  CHECK(contains(error_of([&] { fit_adapter(&a, find_arch("llama"), config(true, 2, 1), {}); }),
                 "which the model does not have"));
}

TEST_CASE("adapters that are not plain LoRA, or broken, are refused by name") {
  Tensors good;
  good.pair("x.q_proj", 2, 3, 4);
  const auto fails = [](const std::string& config, const Tensors& t, const char* part) {
    const std::string message = error_of([&] { peft(config, t); });
    CHECK_MESSAGE(contains(message, part), message);
  };
  fails("{", good, "not valid JSON");
  fails("[]", good, "not a JSON object");
  fails(R"({"peft_type":"VERA"})", good, "peft_type is \"VERA\"");
  fails(R"({"peft_type":"IA3"})", good, "in an adapter of type IA3");
  fails(R"({"peft_type":"PROMPT_TUNING"})", good, "prompt_embeddings");
  fails(R"({"use_dora":true})", good, "0 magnitudes; expected 4");
  const std::string magnitude = "base_model.model.x.q_proj.lora_magnitude_vector";
  fails("{}", Tensors(good).add(magnitude, {3}), "3 magnitudes; expected 4");
  fails("{}", Tensors().add(magnitude, {3}), "a magnitude without the matrices");
  fails("{}", Tensors(good).add(magnitude, {2, 2}), "expected a vector");
  fails(R"({"init_lora_weights":"pissa_niter_4"})", good, "changed the base model");
  fails("{}", Tensors(good).add("base_model.model.x.q_proj.ia3_l", {4, 1}), "of type LORA");
  const Tensors prompt = Tensors().add("prompt_embeddings", {3, 12});
  fails(R"({"peft_type":"PROMPT_TUNING","num_virtual_tokens":2})", prompt, "3 virtual tokens");
  fails(R"({"peft_type":"PREFIX_TUNING","num_layers":2})", prompt, "num_attention_heads (0)");
  fails(R"({"peft_type":"PREFIX_TUNING","num_layers":5,"num_attention_heads":1})", prompt,
        "12 columns");
  fails(R"({"lora_alpha":"x"})", good, "expected a number");
  fails(R"({"alpha_pattern":{".*q_proj":3}})", good, "not a module's name");
  fails("{}", Tensors(good).add("base_model.model.x.q_proj.bias", {4}), "q_proj.bias");
  fails("{}", Tensors().add("base_model.model.x.lora_A.weight", {2, 3}), "only one of its two");
  fails("{}",
        Tensors()
            .add("base_model.model.x.lora_A.weight", {2, 3})
            .add("base_model.model.x.lora_B.weight", {4, 3}),
        "A 2x3 and B 4x3");
  fails("{}", Tensors().add("base_model.model.x.lora_A.weight", {2, 3, 1}), "shape [2, 3, 1]");
  const auto mlx = [](const std::string& config, const Tensors& t) {
    return error_of([&] { parse_mlx_adapter(config, t.map, "a"); });
  };
  CHECK(contains(mlx(R"({"fine_tune_type":"dora","lora_parameters":{}})", {}), "dora"));
  CHECK(contains(mlx("{}", {}), "lora_parameters"));
  CHECK(contains(mlx(R"({"lora_parameters":{}})", Tensors().add("x.weight", {2, 2})),
                 "not part of a LoRA pair"));
  const lm_test::TemporaryFolder folder;
  CHECK(contains(error_of([&] { open_adapter(folder.path.string()); }), "no adapter_config.json"));
}
