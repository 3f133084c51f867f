// What every method of training must do: learn one batch by heart, and give gradients that the loss
// itself confirms. Adding a method: a line in kMethods.
#include <doctest/doctest.h>

#include <cmath>

#include "test_data.h"
#include "train_support.h"

using namespace lm;
using lm_test::run_training;
using lm_test::TemporaryFolder;
using lm_test::train_case;
using lm_test::TrainedRun;

namespace {

struct Method {
  const char* name;
  double learning_rate;  // that learns the batch by heart
  double
      left;  // share of the loss that may be left after 60 steps; 0: two of three tokens are right
  void (*set)(TrainOptions&);
};

void lora(TrainOptions& o) {
  o.lora.rank = 4;
}

const Method kMethods[] = {
    {"all weights", 1e-2, 0.02, [](TrainOptions&) {}},
    {"some weights", 2e-2, 0.2, [](TrainOptions& o) { o.train_only = {"mlp"}; }},
    {"lora", 3e-2, 0.05, lora},
    {"rslora", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.rslora = true; }},
    {"lora+", 1e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.lr_ratio = 4; }},
    {"dora", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.dora = true; }},
    {"gaussian", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.init = "gaussian"; }},
    {"pissa", 1e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.init = "pissa"; }},
    {"pissa, approximate", 1e-2, 0.05,
     [](TrainOptions& o) { lora(o), o.lora.init = "pissa", o.lora.init_iterations = 8; }},
    {"olora", 1e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.init = "olora"; }},
    {"qlora", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.quantize = "nf4"; }},
    {"lora on int8", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.quantize = "int8"; }},
    {"qdora", 3e-2, 0.05, [](TrainOptions& o) { lora(o), o.lora.dora = true, o.quantize = "nf4"; }},
    {"loftq", 3e-2, 0.05,
     [](TrainOptions& o) { lora(o), o.lora.init = "loftq", o.quantize = "nf4"; }},
    {"ia3", 0.2, 0.9, [](TrainOptions& o) { o.method = "ia3"; }},
    {"prompt", 0.3, 0.7, [](TrainOptions& o) { o.method = "prompt", o.virtual_tokens = 8; }},
    {"prefix", 0.3, 0.7, [](TrainOptions& o) { o.method = "prefix", o.virtual_tokens = 8; }},
    {"neftune", 3e-2, 0.1, [](TrainOptions& o) { lora(o), o.neftune = 5; }},
    {"dft", 3e-2, 0, [](TrainOptions& o) { lora(o), o.loss = "dft"; }},
};

TrainOptions options_of(const char* model, const TemporaryFolder& folder) {
  TrainOptions o = train_case(model).options(folder.path.string());
  o.batch_size = 4;
  o.max_grad_norm = 1;
  return o;
}

// (L(0) - L(h)) / h of a step of SGD with rate h, extrapolated to h = 0, over the square of the
// gradient's length: 1 where the gradient is that of the loss.
double slope_over_square(const char* model, void (*set)(TrainOptions&)) {
  double loss[3] = {}, square = 0;
  const auto losses_after = [&](double rate) {
    const TemporaryFolder folder;
    TrainOptions o = options_of(model, folder);
    set(o);
    o.optimizer = "sgd";
    o.momentum = 0;
    o.learning_rate = rate;
    o.schedule = "constant";
    o.warmup = o.max_grad_norm = o.weight_decay = 0;
    o.max_steps = 2;
    const TrainedRun t = run_training(o);
    square = t.steps[0].grad_norm * t.steps[0].grad_norm;
    loss[0] = t.steps[0].loss;
    return t.steps[1].loss;
  };
  losses_after(0);
  const double h = 4e-3 / square;  // a fall of the loss by about that
  loss[1] = losses_after(h);
  loss[2] = losses_after(2 * h);
  return (4 * (loss[0] - loss[1]) - (loss[0] - loss[2])) / (2 * h) / square;
}

}  // namespace

TEST_CASE("training: every method learns one batch by heart") {
  if (lm_test::training() == nullptr) return;
  for (const Method& method : kMethods) {
    CAPTURE(std::string(method.name));
    const TemporaryFolder folder;
    TrainOptions o = options_of("llama-sgd", folder);
    o.optimizer = "adamw";
    o.schedule = "constant";
    o.max_steps = 60;
    o.learning_rate = method.learning_rate;
    method.set(o);
    const std::vector<TrainEvent> steps = run_training(o).steps;
    if (method.left > 0)
      CHECK(steps.back().loss < method.left * steps.front().loss);
    else
      CHECK(steps.back().accuracy > 0.66);
  }
}

TEST_CASE("training: resumed runs of every method have the bits of whole ones") {
  if (lm_test::training() == nullptr) return;
  for (const Method& method : kMethods) {
    CAPTURE(std::string(method.name));
    const TemporaryFolder folder;
    TrainOptions o = options_of("llama-sgd", folder);
    o.optimizer = "adamw";
    o.max_steps = 4;
    o.batch_size = 2;
    o.learning_rate = method.learning_rate;
    method.set(o);
    const std::vector<double> whole = run_training(o).losses();
    o.output += "/parts";
    std::vector<double> parts;
    lm::TrainSink sink;
    sink.should_stop = [&] { return true; };  // after each step
    for (; parts.size() < whole.size(); o.resume = true)
      parts.push_back(run_training(o, sink).losses().at(0));
    CHECK(parts == whole);
  }
}

TEST_CASE("training: finite differences of the loss confirm every method's gradient") {
  if (lm_test::training() == nullptr) return;
  for (const Method& method : kMethods) {
    const std::string name = method.name;
    // Their step is not along the gradient of the loss: noise and factors change with it, LoRA+ has
    // two rates, DoRA takes the lengths of rows as constants.
    if (name == "dft" || name == "neftune" || name == "lora+" || name.ends_with("dora")) continue;
    CAPTURE(name);
    CHECK(slope_over_square("llama-sgd", method.set) == doctest::Approx(1).epsilon(0.01));
  }
}

// Capped scores and windows, norms of heads, norms behind, biases, stacked matrices, plain blocks;
// all of their own backward passes are on the way.
TEST_CASE("training: finite differences of the loss confirm every family's gradient") {
  if (lm_test::training() == nullptr) return;
  for (const char* model : {"gemma2-sgd", "gemma3-sgd", "qwen2-sgd", "qwen3-sgd", "phi3-sgd",
                            "olmo2-sgd", "gpt2-sgd"}) {
    CAPTURE(std::string(model));
    const auto all = [](TrainOptions& o) { o.label_smoothing = 0.1, o.z_loss = 1e-3; };
    CHECK(slope_over_square(model, all) == doctest::Approx(1).epsilon(0.01));
    CHECK(slope_over_square(model, lora) == doctest::Approx(1).epsilon(0.01));
  }
}

TEST_CASE("training: a run ends when evaluations do not get better, and gives back the best") {
  if (lm_test::training() == nullptr) return;
  const TemporaryFolder folder;
  TrainOptions o = options_of("llama-sgd", folder);
  lora(o);
  o.optimizer = "adamw";
  o.schedule = "constant";
  o.learning_rate = 3e-2;
  o.max_steps = 50;
  o.eval_split = 1;  // one row of four: learning the others by heart makes it worse
  o.eval_every = 1;
  o.patience = 3;
  const TrainedRun t = run_training(o);
  REQUIRE(t.evaluations.size() > 3);
  size_t best = 0;
  for (size_t i = 1; i < t.evaluations.size(); ++i)
    if (t.evaluations[i].loss < t.evaluations[best].loss) best = i;
  CHECK(t.evaluations.size() == best + 1 + 3);
  CHECK(t.result.steps < 50);
  const std::string kept = lm_test::checkpoint_of(o.output, t.evaluations[best].step);
  lm_test::check_tensors(kept + "/adapter_model.safetensors",
                         t.result.adapter + "/adapter_model.safetensors", 0);
  o.keep_best = false;
  o.output += "/last";
  const TrainedRun last = run_training(o);
  CHECK(last.steps.size() == t.steps.size());
  lm_test::check_tensors(
      lm_test::checkpoint_of(o.output, last.result.steps) + "/adapter_model.safetensors",
      last.result.adapter + "/adapter_model.safetensors", 0);
}
