// Learning rates against transformers' schedules, and one step of 8-bit AdamW against bitsandbytes.
// The other optimizers: train_golden_test.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/train.h"
#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "engine/train/optimizers/adamw_8bit_block.h"
#include "test_data.h"
#include "train_support.h"

using namespace lm;
using lm_test::training;
using nlohmann::json;

namespace {

const std::string kData = std::string(LM_SOURCE_DIR) + "/tests/data/";

template <typename T>
std::vector<T> numbers(const TensorFile& file, const std::string& name) {
  const auto it = file.tensors.find(name);
  REQUIRE(it != file.tensors.end());
  std::vector<T> out(static_cast<size_t>(it->second.numel()));
  std::memcpy(out.data(), it->second.data, out.size() * sizeof(T));
  return out;
}

TrainOptions tiny_run(const std::string& output) {
  TrainOptions o;
  o.model = kData + "models/llama";
  o.rows = {R"({"input_ids": [5, 6, 7, 8], "labels": [5, 6, 7, 8]})",
            R"({"input_ids": [9, 6, 4, 8], "labels": [9, 6, 4, 8]})"};
  o.output = output;
  o.max_length = 16;
  o.packing = o.shuffle = false;
  o.precision = "f32";
  o.batch_size = 1;
  o.lora.rank = 2;
  return o;
}

}  // namespace

TEST_CASE("training: learning rates are transformers'") {
  const TrainApi* api = training();
  if (api == nullptr) return;
  std::ifstream in(kData + "schedules.json");
  for (const json& c : json::parse(in)) {
    CAPTURE(c.dump());
    const lm_test::TemporaryFolder folder;
    TrainOptions o = tiny_run(folder.path.string());
    o.schedule = c["schedule"];
    o.warmup = c["warmup"];
    o.max_steps = c["steps"];
    o.learning_rate = c["learning_rate"];
    o.min_learning_rate = c.value("min_learning_rate", 0.0);
    o.decay_share = c.value("decay_share", o.decay_share);
    o.decay_shape = c.value("decay_shape", o.decay_shape);
    o.cycles = c.value("cycles", o.cycles);
    o.power = c.value("power", o.power);
    std::vector<double> rates;
    TrainSink sink;
    sink.on_event = [&](const TrainEvent& e) {
      if (e.kind == "step") rates.push_back(e.learning_rate);
    };
    api->train(o, sink);
    REQUIRE(rates.size() == c["rates"].size());
    for (size_t i = 0; i < rates.size(); ++i)
      CHECK(rates[i] == doctest::Approx(c["rates"][i].get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("training: 8-bit AdamW has bitsandbytes' states, bit for bit") {
  const TensorFile file = open_checkpoint(kData + "adamw8/steps.safetensors");
  for (const bool is_signed : {true, false}) {
    const auto expected = numbers<float>(file, is_signed ? "signed" : "unsigned");
    CHECK(std::memcmp(expected.data(), dynamic_map(is_signed).data(), sizeof(DynamicMap)) == 0);
  }
  std::vector<float> value = numbers<float>(file, "value.0");
  const auto n = static_cast<int64_t>(value.size()), n_blocks = (n + kBlock8 - 1) / kBlock8;
  std::vector<uint8_t> m(value.size(), dynamic_map_zero(true)),
      v(value.size(), dynamic_map_zero(false));
  std::vector<float> m_scale(static_cast<size_t>(n_blocks)), v_scale(static_cast<size_t>(n_blocks));
  for (int step = 1; step <= 5; ++step) {
    const auto grad = numbers<float>(file, "grad." + std::to_string(step));
    train::Adamw8Args a;
    a.keep1 = static_cast<float>(1.0 - 0.9);
    a.keep2 = static_cast<float>(1.0 - 0.999);
    a.keep = static_cast<float>(1.0 - 1e-2 * 0.1);
    a.step = static_cast<float>(-1e-2 / (1.0 - std::pow(0.9, step)));
    a.root_bias2 = static_cast<float>(std::sqrt(1.0 - std::pow(0.999, step)));
    for (int64_t b = 0; b < n_blocks; ++b) {
      const int64_t at = b * kBlock8;
      train::adamw8_block(a, value.data() + at, grad.data() + at,
                          {m.data() + at, m_scale.data() + b}, {v.data() + at, v_scale.data() + b},
                          std::min(kBlock8, n - at));
    }
  }
  CHECK(m == numbers<uint8_t>(file, "m"));
  CHECK(v == numbers<uint8_t>(file, "v"));
  const auto close = [&](const std::vector<float>& got, const char* name, double tolerance) {
    const auto want = numbers<float>(file, name);
    for (size_t i = 0; i < got.size(); ++i)
      CHECK(static_cast<double>(got[i]) ==
            doctest::Approx(static_cast<double>(want[i])).epsilon(tolerance));
  };
  close(m_scale, "m_scale", 1e-6);
  close(v_scale, "v_scale", 1e-6);
  close(value, "value", 2e-6);  // f32, five steps
}

TEST_CASE("training: resumed runs of every optimizer have the bits of whole ones") {
  const TrainApi* api = training();
  if (api == nullptr) return;
  for (const char* optimizer : {"adamw_8bit", "adafactor", "muon", "schedule_free", "sophia"}) {
    CAPTURE(std::string(optimizer));
    std::vector<double> whole, parts;
    for (std::vector<double>* losses : {&whole, &parts}) {
      const lm_test::TemporaryFolder folder;
      TrainOptions o = tiny_run(folder.path.string());
      o.optimizer = optimizer;
      o.max_steps = 14;
      o.learning_rate = 1e-2;
      o.ema = 0.5;
      o.eval_split = 1;
      o.rows.push_back(o.rows[0]);
      TrainSink sink;
      sink.on_event = [&](const TrainEvent& e) {
        if (e.kind != "save") losses->push_back(e.loss);
      };
      if (losses == &parts) {
        sink.should_stop = [&] { return losses->size() >= 9; };
        CHECK(api->train(o, sink).stopped);
        sink.should_stop = nullptr;
        o.resume = true;
      }
      api->train(o, sink);
    }
    CHECK(whole == parts);
  }
}
