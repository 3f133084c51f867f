// Training against transformers, peft and TRL: losses, gradient norms and trained weights of
// tests/data/training (generate.py there), in f32. Skipped where the training library is not built.
#include <doctest/doctest.h>

#include <filesystem>

#include "test_data.h"
#include "train_support.h"

using namespace lm;
using lm_test::check_changes;
using lm_test::check_steps;
using lm_test::check_tensors;
using lm_test::run_training;
using lm_test::TemporaryFolder;
using lm_test::train_case;
using lm_test::TrainCase;
using lm_test::TrainedRun;
using lm_test::training;

namespace {

void check_case(const std::string& name, bool fused, int64_t batch_size = 0) {
  CAPTURE(name);
  CAPTURE(fused);
  if (training() == nullptr) return;
  const TrainCase c = train_case(name);
  const TemporaryFolder folder;
  TrainOptions o = c.options(folder.path.string());
  o.fused = fused;
  if (batch_size > 0) {
    o.accumulate = o.batch_size / batch_size;
    o.batch_size = batch_size;
  }
  const TrainedRun t = run_training(o);
  check_steps(c, t);
  // Of one step of SGD with rate 0.5 the weights tell the gradients, to 1e-5; six steps of AdamW
  // with a rate of 1e-2 amplify the last digits of gradients near 0.
  const bool sgd = o.max_steps == 1;
  check_tensors(c.folder() + "trained.safetensors", t.result.adapter + "/adapter_model.safetensors",
                sgd ? 5e-6 : 1e-4);
}

void check_whole_model(const std::string& name, double tolerance = 1e-5) {
  CAPTURE(name);
  if (training() == nullptr) return;
  const TrainCase c = train_case(name);
  const TemporaryFolder folder;
  check_steps(c, run_training(c.options(folder.path.string())), tolerance);
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

TEST_CASE("training: DoRA and IA3 are peft's, on bases of 32, 8 and 4 bits") {
  for (const char* name :
       {"llama-dora-sgd", "llama-dora-adamw", "qwen2-dora-adamw", "gemma3-dora-adamw",
        "llama-nf4-dora-adamw", "llama-ia3-sgd", "qwen2-ia3-adamw"})
    for (const bool fused : {true, false}) check_case(name, fused);
}

TEST_CASE("training: prompt and prefix tuning are peft's") {
  for (const char* name :
       {"llama-prompt-sgd", "gpt2-prompt-adamw", "gemma3-prompt-adamw", "llama-prefix-sgd",
        "gemma3-prefix-adamw", "qwen3-prefix-adamw", "gpt2-prefix-adamw"})
    for (const bool fused : {true, false}) check_case(name, fused);
}

// bf16 has 8 bits: losses of about 5 agree to some hundredths, gradients to some percent.
TEST_CASE("training: in bf16 the methods stay near f32") {
  if (training() == nullptr) return;
  for (const char* name : {"llama-dora-adamw", "qwen2-ia3-adamw", "gemma3-prompt-adamw",
                           "qwen3-prefix-adamw", "llama-nf4-dora-adamw"})
    for (const bool fused : {true, false}) {
      CAPTURE(fused);
      const TrainCase c = train_case(name);
      const TemporaryFolder folder;
      TrainOptions o = c.options(folder.path.string());
      o.precision = "bf16";
      o.fused = fused;
      check_steps(c, run_training(o), 0.01, 0.005);
    }
}

TEST_CASE("training: first values from the weights are peft's, and adapters are for the old base") {
  // Singular vectors of an f32 decomposition agree to about 1e-5; where what they leave is then
  // rounded to 4 bits, with scales of 8 bits, some numbers fall on the other side.
  for (const auto& [name, tolerance] : {std::pair{"llama-pissa-adamw", 2e-5},
                                        {"qwen2-olora-adamw", 2e-5},
                                        {"llama-loftq-adamw", 2e-5},
                                        {"llama-nf4-pissa-adamw", 1e-3}}) {
    CAPTURE(std::string(name));
    if (training() == nullptr) return;
    const TrainCase c = train_case(name);
    const TemporaryFolder folder;
    const TrainOptions o = c.options(folder.path.string());
    const TrainedRun t = run_training(o);
    check_steps(c, t, tolerance, std::max(1e-6, tolerance / 10));
    // The golden's file beside our config, which says rank and alpha of the doubled adapter.
    const TemporaryFolder golden;
    std::filesystem::copy(t.result.adapter + "/adapter_config.json", golden.path);
    std::filesystem::copy(c.folder() + "trained.safetensors",
                          golden.path / "adapter_model.safetensors");
    check_changes(golden.path.string(), t.result.adapter, 50 * tolerance);
  }
}

TEST_CASE("training: whole runs of adapters are TRL's") {
  for (const char* name : {"trl-llama", "trl-qwen3-rslora", "trl-gemma3"})
    for (const bool fused : {true, false}) check_case(name, fused);
}

TEST_CASE(
    "training: steps of adapters on bases in 4 and 8 bits are those on bitsandbytes' numbers") {
  for (const char* name : {"llama-nf4-adamw", "llama-int8-adamw"})
    for (const bool fused : {true, false}) check_case(name, fused);
}

TEST_CASE("training: losses and gradient norms of whole models are transformers'") {
  for (const char* name : {"llama-sgd", "qwen2-sgd", "qwen3-sgd", "gemma2-sgd", "gemma3-sgd",
                           "gpt2-sgd", "olmo2-sgd", "phi3-sgd", "llama-adamw", "trl-llama-full"})
    check_whole_model(name);
}

TEST_CASE("training: smoothed labels, z-loss, DFT and NEFTune are as their formulas say") {
  for (const char* name : {"llama-smoothing-adamw", "llama-dft-adamw", "llama-neftune-adamw"})
    for (const bool fused : {true, false}) check_case(name, fused);
  check_whole_model("gemma2-z-loss-sgd");
}

// Weights in layers.1.mlp and the norms only, decay 1 but for down_proj: what else moved would show
// in the losses from the second step on.
TEST_CASE("training: train_only, freeze and no_decay choose parts by name") {
  check_whole_model("llama-parts-adamw");
}

TEST_CASE("training: whole models under optimizers that round are the references'") {
  // 8-bit codes and bf16 products turn last digits into steps of their own.
  for (const auto& [name, tolerance] : {std::pair{"llama-adafactor", 1e-5},
                                        {"llama-adamw-8bit", 1e-4},
                                        {"llama-muon", 2e-3},
                                        {"llama-lora-muon", 2e-3}})
    check_whole_model(name, tolerance);
}
