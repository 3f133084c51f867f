// Training runs against TRL's: tests/data/train holds rows, the adapter at the start, and loss and
// gradient norm of every step as TRL 1.16 with PEFT 0.21 computes them (make_train_goldens.py).
#include "engine/api/train.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/adapter.h"
#include "engine/formats/checkpoint.h"
#include "test_data.h"
#include "train_support.h"

namespace lm {
namespace {

using nlohmann::json;

const std::string kData = std::string(LM_SOURCE_DIR) + "/tests/data/";

// Whether this build has the training library; says so when not.
json run_json(const std::string& name) {
  std::ifstream in(kData + "train/" + name + "/run.json");
  return json::parse(in);
}

TrainOptions options_of(const std::string& name, const json& run, const std::string& output) {
  TrainOptions o;
  o.model = kData + "models/" + run["model"].get<std::string>();
  o.data = {kData + "train/" + name + "/rows.jsonl"};
  o.learning_rate = run["learning_rate"];
  o.schedule = run["schedule"];
  o.max_grad_norm = run["max_grad_norm"];
  o.warmup = run["warmup"];
  o.batch_size = run["batch_size"];
  o.accumulate = run["accumulate"];
  o.epochs = run["epochs"];
  o.max_length = 32;
  o.packing = o.shuffle = false;
  o.precision = "f32";
  o.output = output;
  if (!run["lora"].is_null()) {
    o.lora.rank = run["lora"]["r"];
    o.lora.alpha = run["lora"]["lora_alpha"];
    o.lora.rslora = run["lora"].value("use_rslora", false);
    o.init_adapter = kData + "train/" + name + "/initial";
  }
  return o;
}

std::vector<TrainEvent> steps_of(const TrainOptions& o) {
  std::vector<TrainEvent> steps;
  TrainSink sink;
  sink.on_event = [&](const TrainEvent& e) {
    if (e.kind == "step") steps.push_back(e);
  };
  train_api().train(o, sink);
  return steps;
}

std::vector<double> losses_of(const TrainOptions& o) {
  std::vector<double> out;
  for (const TrainEvent& e : steps_of(o)) out.push_back(e.loss);
  return out;
}

double relative(double a, double b) {
  return std::fabs(a - b) / std::fabs(b);
}

// |a - b| / |b| over all numbers of two adapters.
double adapter_distance(const std::string& ours, const std::string& theirs) {
  const Adapter a = open_adapter(ours), b = open_adapter(theirs);
  REQUIRE(a.tensors.size() == b.tensors.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    REQUIRE(a.tensors[i].name == b.tensors[i].name);
    CHECK(a.tensors[i].scale == doctest::Approx(b.tensors[i].scale));
    for (const auto member : {&AdapterTensor::a, &AdapterTensor::b})
      for (size_t j = 0; j < (a.tensors[i].*member).size(); ++j) {
        const double x = static_cast<double>((a.tensors[i].*member)[j]),
                     y = static_cast<double>((b.tensors[i].*member)[j]);
        difference += (x - y) * (x - y);
        size += y * y;
      }
  }
  return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("training: TRL's losses, gradient norms and adapters, fused and plain") {
  if (lm_test::training() == nullptr) return;
  for (const char* name : {"llama", "qwen3-rslora", "gemma3", "llama-full"}) {
    const json run = run_json(name);
    for (const bool fused : {true, false}) {
      CAPTURE(name);
      CAPTURE(fused);
      const lm_test::TemporaryFolder folder;
      TrainOptions o = options_of(name, run, folder.path.string());
      o.fused = fused;
      const std::vector<TrainEvent> steps = steps_of(o);
      REQUIRE(steps.size() == run["loss"].size());
      for (size_t i = 0; i < steps.size(); ++i) {
        CAPTURE(i);
        // f32. The first step has nothing to add up yet.
        CHECK(relative(steps[i].loss, run["loss"][i]) < (i == 0 ? 1e-6 : 1e-4));
        CHECK(relative(steps[i].grad_norm, run["grad_norm"][i]) < (i == 0 ? 1e-5 : 1e-3));
      }
      if (o.lora.rank > 0)
        CHECK(adapter_distance(o.output + "/adapter", kData + "train/" + name + "/final") < 1e-3);
    }
  }
}

TEST_CASE("training: batch 4 is 2 x 2 is 1 x 4 is packed") {
  if (lm_test::training() == nullptr) return;
  const json run = run_json("qwen3-rslora");
  std::vector<std::vector<double>> all;
  for (const auto& [batch, accumulate] : {std::pair{4, 1}, {2, 2}, {1, 4}}) {
    const lm_test::TemporaryFolder folder;
    TrainOptions o = options_of("qwen3-rslora", run, folder.path.string());
    o.batch_size = batch;
    o.accumulate = accumulate;
    all.push_back(losses_of(o));
  }
  for (const auto& losses : all)
    for (size_t i = 0; i < losses.size(); ++i) CHECK(relative(losses[i], all[0][i]) < 2e-6);
  // All rows in one step: the order in which packing puts them does not matter then.
  std::vector<double> whole[2];
  for (const bool packing : {false, true}) {
    const lm_test::TemporaryFolder folder;
    TrainOptions o = options_of("qwen3-rslora", run, folder.path.string());
    o.packing = packing;
    o.batch_size = 100;
    o.accumulate = 1;
    whole[packing] = losses_of(o);
  }
  for (size_t i = 0; i < whole[0].size(); ++i) CHECK(relative(whole[1][i], whole[0][i]) < 2e-6);
}

TEST_CASE("training: recomputed activations give the same bits") {
  if (lm_test::training() == nullptr) return;
  const json run = run_json("gemma3");
  std::vector<std::vector<double>> losses;
  for (const char* recompute : {"none", "mlp", "all"}) {
    const lm_test::TemporaryFolder folder;
    TrainOptions o = options_of("gemma3", run, folder.path.string());
    o.recompute = recompute;
    losses.push_back(losses_of(o));
  }
  CHECK(losses[0] == losses[1]);
  CHECK(losses[0] == losses[2]);
}

TEST_CASE("training: an optimizer in the backward pass gives the same bits") {
  if (lm_test::training() == nullptr) return;
  for (const char* name : {"llama", "llama-full"}) {
    CAPTURE(name);
    const json run = run_json(name);
    std::vector<double> losses[2];
    for (const bool in_backward : {false, true}) {
      const lm_test::TemporaryFolder folder;
      TrainOptions o = options_of(name, run, folder.path.string());
      o.batch_size *= o.accumulate;
      o.accumulate = 1;
      o.max_grad_norm = 0;
      o.optimizer_in_backward = in_backward;
      losses[in_backward] = losses_of(o);
    }
    CHECK(losses[0].size() > 1);
    CHECK(losses[0] == losses[1]);
  }
}

TEST_CASE("training: passes shrink to what the memory holds, and are refused when it holds none") {
  if (lm_test::training() == nullptr) return;
  const json run = run_json("llama");
  const lm_test::TemporaryFolder folder;
  TrainOptions o = options_of("llama", run, folder.path.string());
  o.batch_size = 4;
  o.accumulate = 1;
  o.memory_limit = 1e-3;
  o.auto_batch_size = true;
  TrainSink sink;
  std::string notes;
  sink.on_note = [&](const std::string& note) { notes += note + "\n"; };
  try {
    train_api().train(o, sink);
    FAIL("1 MB is not enough");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::out_of_memory);
  }
  CHECK(notes.find("batch_size = 1, accumulate = 4") != std::string::npos);
}

TEST_CASE("training: a resumed run has the bits of one that was not interrupted") {
  if (lm_test::training() == nullptr) return;
  const json run = run_json("llama");
  const lm_test::TemporaryFolder whole, parts;
  TrainOptions o = options_of("llama", run, whole.path.string());
  o.shuffle = true;
  const std::vector<double> expected = losses_of(o);
  o.output = parts.path.string();
  std::vector<double> losses;
  TrainSink sink;
  sink.on_event = [&](const TrainEvent& e) {
    if (e.kind == "step") losses.push_back(e.loss);
  };
  sink.should_stop = [&] { return losses.size() == 2; };
  CHECK(train_api().train(o, sink).stopped);
  o.resume = true;
  sink.should_stop = nullptr;
  CHECK_FALSE(train_api().train(o, sink).stopped);
  CHECK(losses == expected);
  CHECK(adapter_distance(whole.path.string() + "/adapter", parts.path.string() + "/adapter") == 0);
}

TEST_CASE("training: what cannot be trained is refused") {
  if (lm_test::training() == nullptr) return;
  const json run = run_json("llama");
  const lm_test::TemporaryFolder folder;
  const auto message = [&](auto change) -> std::string {
    TrainOptions o = options_of("llama", run, folder.path.string());
    change(o);
    try {
      train_api().train(o, {});
    } catch (const Error& e) {
      return e.message();
    }
    return "";
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(message([](TrainOptions& o) { o.data = {"missing.jsonl"}; }), "no data file");
  has(message([](TrainOptions& o) { o.max_length = 1000; }), "the model's context is 64");
  has(message([](TrainOptions& o) { o.optimizer_in_backward = true; }), "expected 1 and 0");
  has(message([](TrainOptions& o) { o.lora.targets = {"qproj"}; }), "the model's matrices are");
  has(message([](TrainOptions& o) { o.lora.rank = 5; }), "has rank 4");
  has(message([](TrainOptions& o) { o.memory_limit = 0.001; }), "GB; it may take 0.00 GB");
  has(message([](TrainOptions& o) { o.schedule = "zigzag"; }), "expected one of constant");
  has(message([](TrainOptions& o) {
        o.data.clear();
        o.rows = {R"({"input_ids": [5, 6, 7], "labels": [-100, -100, -100]})"};
      }),
      "none of 1 rows can be trained on");
  has(message([](TrainOptions& o) {
        o.data.clear();
        o.rows = {R"({"some": "thing"})"};
      }),
      "no known shape");
  has(message([](TrainOptions& o) {
        o.learning_rate = 1e30;
        o.max_grad_norm = 0;
        o.warmup = 0;
      }),
      "the loss of step");
}

}  // namespace lm
