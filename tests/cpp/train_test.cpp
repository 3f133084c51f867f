// Training runs as a whole: batches, packing, recomputing, resuming, refusals.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "engine/core/error.h"
#include "test_data.h"
#include "train_support.h"

namespace lm {
namespace {

using lm_test::run_training;
using lm_test::train_case;

TrainOptions options_of(const char* name, const lm_test::TemporaryFolder& folder) {
  return train_case(name).options(folder.path.string());
}

std::vector<double> losses_of(const TrainOptions& o) {
  return run_training(o).losses();
}

double relative(double a, double b) {
  return std::fabs(a - b) / std::fabs(b);
}

}  // namespace

TEST_CASE("training: batch 4 is 2 x 2 is 1 x 4 is packed") {
  if (lm_test::training() == nullptr) return;
  std::vector<std::vector<double>> all;
  for (const auto& [batch, accumulate] : {std::pair{4, 1}, {2, 2}, {1, 4}}) {
    const lm_test::TemporaryFolder folder;
    TrainOptions o = options_of("trl-qwen3-rslora", folder);
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
    TrainOptions o = options_of("trl-qwen3-rslora", folder);
    o.packing = packing;
    o.batch_size = 100;
    o.accumulate = 1;
    whole[packing] = losses_of(o);
  }
  for (size_t i = 0; i < whole[0].size(); ++i) CHECK(relative(whole[1][i], whole[0][i]) < 2e-6);
}

TEST_CASE("training: recomputed activations give the same bits") {
  if (lm_test::training() == nullptr) return;
  std::vector<std::vector<double>> losses;
  for (const char* recompute : {"none", "mlp", "all"}) {
    const lm_test::TemporaryFolder folder;
    TrainOptions o = options_of("trl-gemma3", folder);
    o.recompute = recompute;
    losses.push_back(losses_of(o));
  }
  CHECK(losses[0] == losses[1]);
  CHECK(losses[0] == losses[2]);
}

TEST_CASE("training: an optimizer in the backward pass gives the same bits") {
  if (lm_test::training() == nullptr) return;
  for (const char* name : {"trl-llama", "trl-llama-full"}) {
    CAPTURE(name);
    std::vector<double> losses[2];
    for (const bool in_backward : {false, true}) {
      const lm_test::TemporaryFolder folder;
      TrainOptions o = options_of(name, folder);
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
  const lm_test::TemporaryFolder folder;
  TrainOptions o = options_of("trl-llama", folder);
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
  const lm_test::TemporaryFolder whole, parts;
  TrainOptions o = options_of("trl-llama", whole);
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
  const std::string file = "/adapter/adapter_model.safetensors";
  lm_test::check_tensors(whole.path.string() + file, parts.path.string() + file, 0);
}

namespace {

// The message and hint of a run that fails; empty for one that does not.
std::string failure_of(const TrainOptions& o) {
  try {
    train_api().train(o, {});
  } catch (const Error& e) {
    return e.message() + "\n" + e.hint();
  }
  return "";
}

// No file may become larger than this, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit now = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("training: a full disk or an exploding loss leave the last checkpoint, which goes on") {
  if (lm_test::training() == nullptr) return;
  const lm_test::TemporaryFolder whole, parts;
  TrainOptions o = options_of("trl-llama", whole);
  o.shuffle = true;
  const std::vector<double> expected = losses_of(o);
  o.output = parts.path.string();
  TrainSink sink;
  int steps = 0;
  sink.on_event = [&](const TrainEvent& e) { steps += e.kind == "step" ? 1 : 0; };
  sink.should_stop = [&] { return steps == 2; };
  CHECK(train_api().train(o, sink).stopped);
  o.resume = true;
  {
    const FileLimit full(8000);
    CHECK(failure_of(o).find("File too large") != std::string::npos);
  }
  TrainOptions wild = o;
  wild.learning_rate = 1e30;
  wild.max_grad_norm = 0;
  wild.warmup = 0;
  wild.schedule = "constant";
  const std::string why = failure_of(wild);
  CAPTURE(why);
  CHECK(why.find("the loss of step 4 is") != std::string::npos);
  CHECK(why.find("the batch has rows ") != std::string::npos);
  CHECK(why.find("goes on from step 2") != std::string::npos);
  const std::vector<double> rest = losses_of(o);
  CHECK(rest == std::vector<double>(expected.begin() + 2, expected.end()));
}

TEST_CASE("training: what cannot be trained is refused") {
  if (lm_test::training() == nullptr) return;
  const lm_test::TemporaryFolder folder;
  const auto message = [&](auto change) -> std::string {
    TrainOptions o = options_of("trl-llama", folder);
    change(o);
    return lm_test::error_message([&] { train_api().train(o, {}); });
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(message([](TrainOptions& o) {
        o.data = {"missing.jsonl"};
        o.rows.clear();
      }),
      "no data file");
  has(message([](TrainOptions& o) { o.max_length = 1000; }), "the model's context is 64");
  has(message([](TrainOptions& o) { o.optimizer_in_backward = true; }), "expected 1 and 0");
  has(message([](TrainOptions& o) { o.lora.targets = {"qproj"}; }), "the model's matrices are");
  has(message([](TrainOptions& o) { o.lora.rank = 5; }), "has rank 4");
  has(message([](TrainOptions& o) { o.lora.dora = true; }), "has 0 magnitudes (DoRA)");
  has(message([](TrainOptions& o) { o.lora.init = "pissa"; }), "the first values come from one");
  has(message([](TrainOptions& o) { o.method = "ia3"; }), "a run trains one adapter");
  has(message([](TrainOptions& o) { o.freeze = {"mlp"}; }), "lora.targets chooses its matrices");
  const auto anew = [&](auto change) {
    return message([&](TrainOptions& o) {
      o.init_adapter.clear();
      change(o);
    });
  };
  has(anew([](TrainOptions& o) { o.lora.init = "loftq"; }), "without quantize");
  has(anew([](TrainOptions& o) { o.lora.dora = true, o.lora.init = "pissa"; }), "with dora");
  has(anew([](TrainOptions& o) { o.lora.rank = 33, o.lora.init = "olora"; }), "has no such rank");
  const auto method = [&](const char* word, auto change) {
    return anew([&](TrainOptions& o) {
      o.lora = {};
      o.method = word;
      change(o);
    });
  };
  has(method("prompt", [](TrainOptions& o) { o.virtual_tokens = 40; }), "with 40 virtual_tokens");
  has(method("prompt", [](TrainOptions& o) { o.prompt_text = "be short"; }), "no tokenizer");
  has(method("ia3", [](TrainOptions& o) { o.model += "/../gpt2"; }), "matrices of their own");
  has(method("prefix", [](TrainOptions& o) { o.model += "/../gpt-neox"; }),
      "whose keys and values");
  // The files of other methods.
  has(method("ia3",
             [](TrainOptions& o) { o.init_adapter = train_case("trl-llama").folder() + "start"; }),
      "lora.rank is 0");
  has(anew(
          [](TrainOptions& o) { o.init_adapter = train_case("llama-ia3-sgd").folder() + "start"; }),
      "does not change");
  has(anew([](TrainOptions& o) {
        o.init_adapter = train_case("llama-prefix-sgd").folder() + "start";
      }),
      "does not change");
  has(method("prefix",
             [](TrainOptions& o) {
               o.virtual_tokens = 4;
               o.init_adapter = train_case("llama-prompt-sgd").folder() + "start";
             }),
      "has 4 virtual tokens of 32 numbers");
  has(message([](TrainOptions& o) { o.memory_limit = 0.001; }), "GB; it may take 0.00 GB");
  has(message([](TrainOptions& o) { o.schedule = "zigzag"; }), "expected one of constant");
  has(message([](TrainOptions& o) {
        o.rows = {R"({"input_ids": [5, 6, 7], "labels": [-100, -100, -100]})"};
      }),
      "none of 1 rows can be trained on");
  has(message([](TrainOptions& o) { o.rows = {R"({"some": "thing"})"}; }), "no known shape");
  has(message([](TrainOptions& o) {
        o.learning_rate = 1e30;
        o.max_grad_norm = 0;
        o.warmup = 0;
      }),
      "the loss of step");
}

}  // namespace lm
