// Training against transformers and peft: losses, gradient norms and trained weights of
// tests/data/training (generate.py there), in f32. Skipped where the training library is not built.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/train.h"
#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "test_data.h"
#include "train_support.h"

using namespace lm;
using lm_test::TemporaryFolder;
using lm_test::training;
using nlohmann::json;

namespace {

const std::string kCases = std::string(LM_SOURCE_DIR) + "/tests/data/training/";
const std::string kModels = std::string(LM_SOURCE_DIR) + "/tests/data/models/";

json read_case(const std::string& name) {
  std::ifstream in(kCases + name + "/case.json");
  REQUIRE(in.good());
  return json::parse(in);
}

TrainOptions options_of(const json& c, const std::string& name, const std::string& output) {
  const json& o = c["options"];
  TrainOptions t;
  t.model = kModels + c["model"].get<std::string>();
  for (const json& row : c["rows"]) t.rows.push_back(row.dump());
  t.output = output;
  t.optimizer = o["optimizer"];
  t.learning_rate = o["learning_rate"];
  t.schedule = o["schedule"];
  t.warmup = o["warmup"];
  t.max_steps = o["max_steps"];
  t.batch_size = o["batch_size"];
  t.max_grad_norm = o["max_grad_norm"];
  t.weight_decay = o.value("weight_decay", 0.0);
  t.momentum = o.value("momentum", t.momentum);
  t.quantize = o.value("quantize", t.quantize);
  t.ema = o.value("ema", 0.0);
  t.layer_decay = o.value("layer_decay", 1.0);
  t.lora.lr_ratio = o.value("lr_ratio", 1.0);
  t.beta1 = o.value("beta1", t.beta1);
  t.beta2 = o.value("beta2", t.beta2);
  t.max_length = 32;
  t.packing = false;
  t.shuffle = false;
  t.precision = "f32";
  t.lora.rank = c["rank"];
  t.lora.alpha = c["alpha"];
  t.lora.rslora = c["rslora"];
  if (t.lora.rank > 0) t.init_adapter = kCases + name + "/start";
  return t;
}

struct Trained {
  TrainResult result;
  std::vector<double> losses, norms;
};

Trained run(const TrainApi& api, const TrainOptions& o) {
  Trained out;
  TrainSink sink;
  sink.on_event = [&](const TrainEvent& e) {
    if (e.kind != "step") return;
    out.losses.push_back(e.loss);
    out.norms.push_back(e.grad_norm);
  };
  out.result = api.train(o, sink);
  return out;
}

std::vector<float> floats(const TensorView& view) {
  REQUIRE(view.dtype == DType::f32);
  std::vector<float> out(static_cast<size_t>(view.numel()));
  std::memcpy(out.data(), view.data, out.size() * sizeof(float));
  return out;
}

// Every tensor of the golden is in `file` and differs by at most `tolerance`.
void check_tensors(const std::string& golden, const std::string& file, double tolerance) {
  const TensorFile expected = open_checkpoint(golden), actual = open_checkpoint(file);
  for (const auto& [name, view] : expected.tensors) {
    CAPTURE(name);
    const auto it = actual.tensors.find(name);
    REQUIRE(it != actual.tensors.end());
    REQUIRE(it->second.shape == view.shape);
    const std::vector<float> want = floats(view), got = floats(it->second);
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i)
      worst =
          std::max(worst, std::fabs(static_cast<double>(want[i]) - static_cast<double>(got[i])));
    CHECK(worst <= tolerance);
  }
}

// tolerance: relative, of losses after the first step; ten times that for norms.
void check_steps(const json& c, const Trained& t, double tolerance = 1e-5) {
  REQUIRE(t.losses.size() == c["losses"].size());
  for (size_t i = 0; i < t.losses.size(); ++i) {
    CAPTURE(i);
    CHECK(t.losses[i] ==
          doctest::Approx(c["losses"][i].get<double>()).epsilon(i == 0 ? 1e-6 : tolerance));
    CHECK(t.norms[i] == doctest::Approx(c["grad_norms"][i].get<double>()).epsilon(10 * tolerance));
  }
}

void check_case(const std::string& name, bool fused, int64_t batch_size = 0) {
  CAPTURE(name);
  CAPTURE(fused);
  const TrainApi* api = training();
  if (api == nullptr) return;
  const json c = read_case(name);
  const TemporaryFolder folder;
  TrainOptions o = options_of(c, name, folder.path.string());
  o.fused = fused;
  if (batch_size > 0) {
    o.accumulate = o.batch_size / batch_size;
    o.batch_size = batch_size;
  }
  const Trained t = run(*api, o);
  check_steps(c, t);
  // Of one step of SGD with rate 0.5 the weights tell the gradients, to 1e-5; six steps of AdamW
  // with a rate of 1e-2 amplify the last digits of gradients near 0.
  const bool sgd = o.max_steps == 1;
  check_tensors(kCases + name + "/trained.safetensors",
                t.result.adapter + "/adapter_model.safetensors", sgd ? 5e-6 : 1e-4);
}

}  // namespace

TEST_CASE("training: one step of an adapter gives peft's loss and gradients") {
  for (const bool fused : {true, false}) check_case("llama-lora-sgd", fused);
}

TEST_CASE("training: batches accumulate to the same gradients") {
  for (const int64_t batch_size : {1, 2}) check_case("llama-lora-sgd", true, batch_size);
}

TEST_CASE("training: steps of adapters are peft's, with every optimizer") {
  for (const char* name :
       {"llama-lora-adamw", "llama-rslora-adamw", "llama-lora-lion", "llama-lora-momentum",
        "llama-lora-adafactor", "llama-lora-schedule-free", "llama-lora-sophia", "llama-lora-ema",
        "llama-loraplus", "llama-lora-layer-decay"})
    check_case(name, true);
}

TEST_CASE(
    "training: steps of adapters on bases in 4 and 8 bits are those on bitsandbytes' numbers") {
  for (const char* name : {"llama-nf4-adamw", "llama-int8-adamw"})
    for (const bool fused : {true, false}) check_case(name, fused);
}

TEST_CASE("training: losses and gradient norms of whole models are transformers'") {
  for (const char* name : {"llama-sgd", "qwen2-sgd", "qwen3-sgd", "gemma2-sgd", "gemma3-sgd",
                           "gpt2-sgd", "olmo2-sgd", "phi3-sgd", "llama-adamw"}) {
    CAPTURE(std::string(name));
    const TrainApi* api = training();
    if (api == nullptr) return;
    const json c = read_case(name);
    const TemporaryFolder folder;
    check_steps(c, run(*api, options_of(c, name, folder.path.string())));
  }
}

TEST_CASE("training: whole models under optimizers that round are the references'") {
  // 8-bit codes and bf16 products turn last digits into steps of their own.
  for (const auto& [name, tolerance] : {std::pair{"llama-adafactor", 1e-5},
                                        {"llama-adamw-8bit", 1e-4},
                                        {"llama-muon", 2e-3},
                                        {"llama-lora-muon", 2e-3}}) {
    CAPTURE(std::string(name));
    const TrainApi* api = training();
    if (api == nullptr) return;
    const json c = read_case(name);
    const TemporaryFolder folder;
    check_steps(c, run(*api, options_of(c, name, folder.path.string())), tolerance);
  }
}
