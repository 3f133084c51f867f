// Every architecture against transformers: tiny random checkpoints (tests/data/models, see
// generate.py there) with the float32 logits that transformers computes from them.
#include "engine/models/arch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include "engine/api/beam_search.h"
#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "engine/models/model_spec.h"

using namespace lm;
namespace fs = std::filesystem;

namespace {

const std::string kModels = std::string(LM_SOURCE_DIR) + "/tests/data/models";

struct Golden {
  TensorFile file;
  std::vector<int32_t> ids, types, source;
  std::vector<float> logits;          // [T, V]
  std::vector<float> hidden, scores;  // encoders
};

std::vector<float> floats(const TensorFile& file, const char* name) {
  const auto it = file.tensors.find(name);
  if (it == file.tensors.end()) return {};
  const auto* data = reinterpret_cast<const float*>(it->second.data);
  return {data, data + it->second.numel()};
}

std::vector<int32_t> integers(const TensorFile& file, const char* name) {
  const auto it = file.tensors.find(name);
  std::vector<int32_t> out;
  if (it == file.tensors.end()) return out;
  const auto* data = reinterpret_cast<const int64_t*>(it->second.data);
  for (int64_t i = 0; i < it->second.numel(); ++i) out.push_back(static_cast<int32_t>(data[i]));
  return out;
}

Golden read_golden(const fs::path& folder) {
  Golden g;
  g.file = open_checkpoint((folder / "golden.safetensors").string());
  g.ids = integers(g.file, "ids");
  g.types = integers(g.file, "token_types");
  g.source = integers(g.file, "source");
  g.logits = floats(g.file, "logits");
  g.hidden = floats(g.file, "hidden");
  g.scores = floats(g.file, "scores");
  return g;
}

// Largest difference, relative to the largest expected value.
double error(std::span<const float> got, std::span<const float> expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
    size = std::max(size, std::fabs(static_cast<double>(expected[i])));
  }
  return worst / size;
}

std::vector<fs::path> folders() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(kModels))
    if (fs::exists(entry.path() / "golden.safetensors") &&
        !fs::exists(entry.path() / "adapter_config.json"))
      out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

std::shared_ptr<const Model> load(const fs::path& path, const char* precision) {
  LoadOptions options;
  options.precision = precision;
  const fs::path file = path / "model.bin";  // formats without a config.json
  return Model::load(fs::exists(file) ? file.string() : path.string(), options);
}

// Logits after every token, evaluated at once or token by token.
std::vector<float> at_once(const std::shared_ptr<const Model>& model, const Golden& g) {
  Context context(model);
  if (!g.source.empty()) context.set_source(g.source);
  return context.eval_all(g.ids);
}

std::vector<float> in_steps(const std::shared_ptr<const Model>& model, const Golden& g) {
  Context context(model);
  if (!g.source.empty()) context.set_source(g.source);
  std::vector<float> out;
  for (size_t i = 0; i < g.ids.size(); ++i) {
    const auto logits = context.eval({g.ids.data(), i + 1});
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

}  // namespace

TEST_CASE("architectures: logits equal transformers' float32, at once and token by token") {
  std::set<std::string> covered;
  std::printf("table: %-22s %-12s %10s %10s %10s\n", "tiny model", "architecture", "prefill",
              "stepwise", "fast mode");
  for (const fs::path& folder : folders()) {
    const std::string name = folder.filename().string();
    CAPTURE(name);
    const Golden g = read_golden(folder);
    const auto exact = load(folder, "exact"), fast = load(folder, "fast");
    covered.insert(find_arch(exact->info().architecture).name);
    if (g.logits.empty()) continue;
    const double prefill = error(at_once(exact, g), g.logits);
    // Scalings that look at the length answer to the tokens seen so far, as in transformers; the
    // reference is of the whole text, so only the last row is comparable.
    const bool by_length = name.find("dynamic") != name.npos || name.find("longrope") != name.npos;
    double stepwise = 0;
    if (!by_length) stepwise = error(in_steps(exact, g), g.logits);
    const double rough = error(at_once(fast, g), g.logits);
    std::printf("table: %-22s %-12s %10.1e %10.1e %10.1e\n", name.c_str(),
                exact->info().architecture.c_str(), prefill, stepwise, rough);
    CHECK(prefill <= 1e-4);
    CHECK(stepwise <= 1e-4);
    CHECK(rough <= 2e-2);  // f16 keys and values
  }
  std::fflush(stdout);
  for (const Arch* arch : all_archs()) {
    CAPTURE(arch->name);
    CHECK(covered.contains(arch->name));
  }
}

TEST_CASE(
    "encoders: hidden states and scores equal transformers' float32; a batch equals one text") {
  std::printf("table: %-22s %-12s %10s %10s\n", "tiny encoder", "architecture", "error",
              "fast mode");
  for (const fs::path& folder : folders()) {
    const Golden g = read_golden(folder);
    if (g.hidden.empty() && g.scores.empty()) continue;
    const std::string name = folder.filename().string();
    CAPTURE(name);
    const auto exact = load(folder, "exact"), fast = load(folder, "fast");
    const TextInput text{g.ids, g.types};
    const auto result = [&](const std::shared_ptr<const Model>& model) {
      Embedder e(model);
      return g.hidden.empty() ? e.scores({text})[0] : e.hidden(text);
    };
    const auto& expected = g.hidden.empty() ? g.scores : g.hidden;
    const auto got = result(exact);
    const double worst = error(got, expected), rough = error(result(fast), expected);
    std::printf("table: %-22s %-12s %10.1e %10.1e\n", name.c_str(),
                exact->info().architecture.c_str(), worst, rough);
    CHECK(worst <= 1e-4);
    CHECK(rough <= 2e-2);
    // Texts of other lengths in the same batch change nothing, not a bit.
    Embedder e(exact);
    const TextInput part{{g.ids.begin(), g.ids.begin() + 7}, {}};
    const auto alone = e.embed({part}), together = e.embed({text, part, text});
    CHECK(alone[0] == together[1]);
    CHECK(together[0] == together[2]);
    CHECK(e.embed({text})[0] == together[0]);
  }
  std::fflush(stdout);
}

TEST_CASE("encoder-decoder models: greedy and beam answers equal transformers'") {
  for (const char* name : {"t5", "flan-t5"}) {
    CAPTURE(name);
    const fs::path folder = fs::path(kModels) / name;
    const TensorFile file = open_checkpoint((folder / "golden.safetensors").string());
    const auto source = integers(file, "source");
    const auto model = load(folder, "exact");
    GenerateOptions options;
    options.max_tokens = 12;
    options.ignore_eos = true;
    Generation generation(std::make_shared<Context>(model), source, options);
    std::string piece;
    while (generation.next(&piece)) {
    }
    CHECK(generation.tokens() == integers(file, "greedy"));
    BeamOptions beams;
    beams.num_beams = 3;
    beams.max_tokens = 8;
    auto best = beam_search(model, source, beams)[0].ids;
    auto expected = integers(file, "beams");
    while (!expected.empty() && expected.back() <= 1) expected.pop_back();  // end and padding
    while (!best.empty() && best.back() <= 1) best.pop_back();
    CHECK(best == expected);
  }
}

TEST_CASE("adapters: logits equal PEFT's; the base's come back when they go") {
  struct Case {
    const char *adapter, *base;
  };
  for (const Case c :
       {Case{"llama-lora", "llama"}, Case{"llama-rslora-gate", "llama"}, Case{"phi3-lora", "phi3"},
        Case{"gpt2-lora", "gpt2"}, Case{"falcon-h1-lora", "falcon-h1"}}) {
    CAPTURE(c.adapter);
    const auto model = load(fs::path(kModels) / c.base, "exact");
    const std::string path = kModels + "/" + c.adapter;
    const Golden g = read_golden(path);
    Context context(model);
    const auto before = context.eval_all(g.ids);
    CHECK(error(before, g.logits) > 1e-2);
    model->add_adapter(path, "", 1.0);
    const double worst = error(context.eval_all(g.ids), g.logits);
    std::printf("table: adapter %-18s on %-10s error %.1e\n", c.adapter, c.base, worst);
    CHECK(worst <= 1e-4);
    CHECK(error(in_steps(model, g), g.logits) <= 1e-4);
    // Half twice is the whole.
    model->remove_adapter(c.adapter);
    model->add_adapter(path, "one", 0.5);
    model->add_adapter(path, "two", 0.5);
    CHECK(error(context.eval_all(g.ids), g.logits) <= 1e-4);
    CHECK_THROWS_AS(model->add_adapter(path, "two", 1.0), Error);
    model->remove_adapter("one");
    model->remove_adapter("two");
    CHECK(model->adapters() == nullptr);
    CHECK(context.eval_all(g.ids) == before);
  }
  const auto other = load(fs::path(kModels) / "qwen3", "exact");
  CHECK_THROWS_AS(other->add_adapter(kModels + "/llama-lora", "", 1.0), Error);
}
