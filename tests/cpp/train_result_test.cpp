// What a run leaves on disk, for every family that can be trained: the inference engine computes
// the loss that the training engine computed, with the adapter, with it merged in, with all weights
// trained, and from GGUF.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/convert.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/api/train.h"
#include "engine/core/error.h"
#include "test_data.h"
#include "train_support.h"

namespace lm {
namespace {

using lm_test::TemporaryFolder;
using nlohmann::json;

const std::string kData = std::string(LM_SOURCE_DIR) + "/tests/data/";

// One of each shape of weights: stacked q, k, v and gate and up (phi3), heads in turn (gpt-neox),
// [in, out] matrices (gpt2), experts, norms of heads, biases, tied and separate output.
const char* const kFamilies[] = {"llama",     "llama-bias-headdim",
                                 "phi3",      "phi3-longrope",
                                 "gpt-neox",  "gpt-neox-serial",
                                 "gpt2",      "gemma",
                                 "gemma2",    "gemma3",
                                 "qwen2",     "qwen3",
                                 "olmo2",     "stablelm",

                                 "granite",   "minicpm",
                                 "smollm3",   "mixtral",
                                 "qwen2-moe", "qwen3-moe",
                                 "olmoe",     "granite-moe"};

// Lengths 15, 9, 23, 5: phi3-longrope turns differently beyond 16 tokens; scoring reads one token
// less than training does.
json rows() {
  std::ifstream in(kData + "training/llama-sgd/case.json");
  json list = json::parse(in)["rows"];
  for (const char* key : {"input_ids", "labels"})
    list[0][key].erase(list[0][key].begin() + 15, list[0][key].end());
  return list;
}

// The mean loss over the rows' targets as the inference engine computes it in f32.
double inference_loss(const std::string& path, const std::string& adapter) {
  LoadOptions exact;
  exact.precision = "exact";
  const auto model = Model::load(path, exact);
  if (!adapter.empty()) model->add_adapter(adapter, "", 1.0);
  Context context(model, 64);
  double sum = 0;
  int64_t n = 0;
  for (const json& row : rows()) {
    const auto ids = row["input_ids"].get<std::vector<int32_t>>();
    const auto steps = score_tokens(context, ids, 1, 1);
    for (size_t i = 1; i < ids.size(); ++i)
      if (row["labels"][i] != -100) {
        sum -= static_cast<double>(steps[i - 1].chosen.logprob);
        ++n;
      }
  }
  return sum / static_cast<double>(n);
}

class Family {
 public:
  // f32, so that what is written is what was computed.
  explicit Family(const std::string& name) {
    ConvertOptions c;
    c.from = kData + "models/" + name;
    c.to = base_ = (folder_.path / "base").string();
    c.type = "f32";
    convert_model(c);
    std::ofstream out(rows_file());
    for (const json& row : rows()) out << row.dump() << "\n";
  }

  // change(TrainOptions&): what is trained.
  template <typename F>
  TrainResult train(F&& change, const std::string& model = "") {
    TrainOptions o;
    o.model = model.empty() ? base_ : model;
    o.data = o.eval_data = {rows_file()};
    o.output = (folder_.path / ("run" + std::to_string(++runs_))).string();
    o.max_steps = 3;
    o.learning_rate = 1e-2;
    o.max_length = 32;
    o.precision = "f32";
    o.keep_best = false;
    change(o);
    return train_api().train(o, {});
  }

  void check_beside(const TrainResult& r) const {
    CHECK(relative(inference_loss(base_, ""), r.eval_loss) > 2e-4);  // it has learned something
    CHECK(relative(inference_loss(r.model, r.adapter), r.eval_loss) < 1e-5);
  }
  void check(const TrainResult& r) const {
    check_beside(r);
    ConvertOptions c;
    c.from = r.model;
    c.type = "f32";
    if (!r.adapter.empty()) c.adapters = {{r.adapter, 1.0}};
    for (const char* to : {"/merged", "/merged.gguf"}) {
      CAPTURE(std::string(to));
      c.to = r.output + to;
      convert_model(c);
      CHECK(relative(inference_loss(c.to, ""), r.eval_loss) < 1e-5);
    }
  }

 private:
  static double relative(double a, double b) { return std::fabs(a - b) / std::fabs(b); }
  std::string rows_file() const { return (folder_.path / "rows.jsonl").string(); }

  TemporaryFolder folder_;
  std::string base_;
  int runs_ = 0;
};

}  // namespace

TEST_CASE("training: every family's adapters and trained weights answer the same in inference") {
  if (lm_test::training() == nullptr) return;
  for (const char* name : kFamilies) {
    CAPTURE(std::string(name));
    Family family(name);
    for (const int64_t rank : {4, 0}) {
      CAPTURE(rank);
      family.check(family.train([&](TrainOptions& o) { o.lora.rank = rank; }));
    }
  }
}

// transposed and stacked matrices, biases, factors of whole blocks, norms behind.
TEST_CASE("training: DoRA answers the same in inference, beside the weights and merged") {
  if (lm_test::training() == nullptr) return;
  for (const char* name :
       {"llama", "phi3", "gpt2", "gpt-neox", "gemma3", "qwen2", "granite", "minicpm"}) {
    CAPTURE(std::string(name));
    Family family(name);
    family.check(family.train([](TrainOptions& o) {
      o.lora.rank = 4;
      o.lora.dora = true;
    }));
  }
}

TEST_CASE("training: IA3 and adapters that changed their base answer the same in inference") {
  if (lm_test::training() == nullptr) return;
  for (const char* name : {"llama", "gemma3", "qwen2", "granite", "smollm3"}) {
    CAPTURE(std::string(name));
    Family family(name);
    family.check(family.train([](TrainOptions& o) {
      o.method = "ia3";
      o.learning_rate = 0.1;
    }));
    for (const char* init : {"pissa", "olora"})
      family.check(family.train([&](TrainOptions& o) {
        o.lora.rank = 4;
        o.lora.init = init;
      }));
  }
}

// Rotations in turn or by halves (GGUF's llama, NeoX), learned positions, windows, scaled
// embeddings.
TEST_CASE("training: virtual tokens answer the same in inference, also trained on GGUF") {
  if (lm_test::training() == nullptr) return;
  for (const char* method : {"prompt", "prefix"})
    for (const char* name : {"llama", "phi3", "gpt2", "gemma3", "qwen3", "olmo2", "smollm3"}) {
      CAPTURE(std::string(name));
      CAPTURE(std::string(method));
      Family family(name);
      const auto virtual_tokens = [&](TrainOptions& o) {
        o.method = method;
        o.virtual_tokens = 5;
        o.learning_rate = 0.1;
      };
      const TrainResult r = family.train(virtual_tokens);
      family.check_beside(r);
      ConvertOptions c;
      c.from = r.model;
      c.to = r.output + "/base.gguf";
      c.type = "f32";
      convert_model(c);
      CHECK(inference_loss(c.to, r.adapter) == doctest::Approx(r.eval_loss).epsilon(1e-5));
      const TrainResult on_gguf = family.train(virtual_tokens, c.to);
      CHECK(on_gguf.eval_loss == doctest::Approx(r.eval_loss).epsilon(1e-5));
      family.check_beside(on_gguf);
      CHECK(lm_test::error_message([&] {
              c.adapters = {{r.adapter, 1.0}};
              c.to = r.output + "/merged";
              convert_model(c);
            }).find("cannot be merged") != std::string::npos);
    }
}

TEST_CASE("adapters of other bases and strengths that make no sense are refused") {
  const auto message = [](const char* model, const std::string& adapter, double scale = 1) {
    const auto m = Model::load(kData + "models/" + model);
    return lm_test::error_message(
        [&] { m->add_adapter(kData + "training/" + adapter + "/start", "", scale); });
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(message("gpt2", "llama-dora-sgd"), "it was made for another base (llama)");
  has(message("gemma3", "qwen2-ia3-adamw"), "another base (qwen2)");
  has(message("gemma3", "qwen3-prefix-adamw"), "another base (qwen3)");
  has(message("llama", "llama-prompt-sgd", 0.5), "there or not");
  has(message("bert", "llama-prompt-sgd"), "decoders only");
  has(message("mamba2", "llama-prefix-sgd"), "virtual tokens of");
  const auto m = Model::load(kData + "models/llama");
  for (const char* name : {"llama-prompt-sgd", "llama-prefix-sgd"})
    m->add_adapter(kData + "training/" + name + "/start", name, 1.0);
  Context context(m, 32);
  const std::vector<int32_t> ids = {5, 6, 7};
  has(lm_test::error_message([&] { context.eval(ids, nullptr); }), "expected one of them");
  context.choose_adapters({"llama-prefix-sgd"});
  CHECK(context.eval(ids, nullptr).size() == 96);
  CHECK(context.n_ctx() == 28);
}

}  // namespace lm
