// Small trained models against reference outputs computed elsewhere with numpy (float64).
// Tolerances are those that the references state, or tighter.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json read_json(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

std::shared_ptr<const Model> load(const std::string& path, const char* precision = "high") {
  LoadOptions options;
  options.precision = precision;
  return Model::load(path, options);
}

// Largest difference of the logits after `ids` from the expected ones.
double logit_error(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& ids,
                   const std::vector<double>& expected) {
  Context context(model);
  const auto logits = context.eval(ids);
  REQUIRE(logits.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(logits[i]) - expected[i]));
  return worst;
}

std::vector<int32_t> greedy(const std::shared_ptr<const Model>& model,
                            const std::vector<int32_t>& prompt, int64_t n) {
  GenerateOptions options;
  options.max_tokens = n;
  Generation generation(std::make_shared<Context>(model), prompt, options);
  std::string piece;
  while (generation.next(&piece)) {
  }
  return generation.tokens();
}

// Mean and total of -log p(ids[i+1] | ids[..i]).
double mean_nll(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& ids) {
  Context context(model);
  const auto all = context.eval_all(ids);
  const size_t vocab = all.size() / ids.size();
  double total = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const float* row = all.data() + i * vocab;
    const double top = static_cast<double>(*std::max_element(row, row + vocab));
    double sum = 0;
    for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(row[v]) - top);
    total += top + std::log(sum) - static_cast<double>(row[static_cast<size_t>(ids[i + 1])]);
  }
  return total / static_cast<double>(ids.size() - 1);
}

// A folder for one test, with links to files elsewhere.
struct LinkedFolder {
  fs::path path = fs::temp_directory_path() / ("lm_golden_" + std::to_string(::getpid()));
  LinkedFolder() { fs::create_directories(path); }
  ~LinkedFolder() { fs::remove_all(path); }
  void link(const fs::path& file) const {
    fs::create_symlink(fs::absolute(file), path / file.filename());
  }
};

}  // namespace

TEST_CASE(
    "stories260K: logits of every float form equal the float64 reference; greedy text is the "
    "published one") {
  const auto root = lm_test::test_data("models/stories260K");
  if (!root) return;
  const json golden = read_json(*root + "/golden.json");
  LinkedFolder sharded;  // the shards come without a tokenizer
  for (const auto& entry : fs::directory_iterator(*root + "/hf-bf16-sharded"))
    sharded.link(entry.path());
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    sharded.link(*root + "/hf/" + file);
  struct Form {
    std::string path;
    const char* precision;
    double tolerance;
  };
  // f16 cache: 2e-2 (the reference allows 0.05); exact: float32 rounding; bf16 weights: the
  // reference's own distance is 0.07.
  const Form forms[] = {{*root + "/hf", "exact", 1e-4},
                        {*root + "/hf", "high", 2e-2},
                        {*root + "/stories260K.bin", "exact", 1e-4},
                        {*root + "/stories260K.v1.bin", "exact", 1e-4},
                        {*root + "/gguf/stories260K-F32.gguf", "exact", 1e-4},
                        {*root + "/gguf/stories260K-F32.gguf", "high", 2e-2},
                        {sharded.path.string(), "high", 0.1}};
  for (const Form& form : forms) {
    CAPTURE(form.path);
    const auto model = load(form.path, form.precision);
    for (const json& c : golden["cases"]) {
      auto ids = c["prompt_ids"].get<std::vector<int32_t>>();
      const auto expected = c["greedy_ids"].get<std::vector<int32_t>>();
      if (std::string(form.precision) == "exact") {
        CHECK(model->tokenizer()->encode(c["prompt"].get<std::string>()) == ids);
        // The published text runs until its end token; margins are 0.004 and more.
        const auto produced = greedy(model, ids, static_cast<int64_t>(expected.size()));
        CHECK(std::equal(produced.begin(), produced.end(), expected.begin()));
        CHECK(produced.size() + 1 >= expected.size());
      }
      if (c.contains("last_logits"))
        CHECK(logit_error(model, ids, c["last_logits"].get<std::vector<double>>()) <=
              form.tolerance);
    }
    for (const json& p : golden["perplexity"])
      CHECK(mean_nll(model, p["ids"].get<std::vector<int32_t>>()) ==
            doctest::Approx(p["mean_nll"].get<double>()).epsilon(form.tolerance));
  }
}

TEST_CASE("stories260K: each GGUF type against the reference on the dequantised file") {
  const auto root = lm_test::test_data("models/stories260K");
  if (!root) return;
  const json golden = read_json(*root + "/golden_gguf.json");
  for (const auto& [file, g] : golden["files"].items()) {
    CAPTURE(file);
    const auto ids = g["prompt_ids"].get<std::vector<int32_t>>();
    const auto expected = g["last_logits"].get<std::vector<double>>();
    CHECK(logit_error(load(*root + "/" + file, "exact"), ids, expected) <= 1e-4);
    // In the file's own types: 16-bit activations, f16 cache.
    CHECK(logit_error(load(*root + "/" + file, "high"), ids, expected) <= 2e-2);
  }
}

TEST_CASE(
    "gpt-nano-sort: GPT-2's blocks sort digits as the reference does; logits equal PyTorch's") {
  const auto root = lm_test::test_data("models/gpt-nano-sort");
  if (!root) return;
  const auto model = load(*root + "/hf", "exact");
  const json golden = read_json(*root + "/golden.json");
  for (const json& c : golden["cases"]) {
    const auto input = c["input"].get<std::string>();
    CHECK(model->tokenizer()->decode(greedy(model, model->tokenizer()->encode(input), 6)) ==
          c["greedy"].get<std::string>());
  }
}

TEST_CASE("tiny-rwkv: logits of versions 4, 5.2 and 7 equal the original Python code's") {
  const auto root = lm_test::test_data("models/tiny-rwkv");
  if (!root) return;
  struct Case {
    const char *file, *expected;
    double tolerance;
  };
  // Float files: the reference's own last digits. f16 and 5-bit weights: their rounding.
  for (const Case c : {Case{"tiny-rwkv-4v0-660K-FP32.bin", "4v0-660K", 1e-5},
                       Case{"tiny-rwkv-5v2-730K-FP32.bin", "5v2-730K", 2e-5},
                       Case{"tiny-rwkv-7v0-834K-FP32.bin", "7v0-834K", 2e-5},
                       Case{"tiny-rwkv-7v0-834K-FP16.bin", "7v0-834K", 1e-5},
                       Case{"tiny-rwkv-7v0-834K-Q5_1.bin", "7v0-834K", 2e-2}}) {
    CAPTURE(c.file);
    std::ifstream in(*root + "/expected-logits-" + c.expected + ".bin", std::ios::binary);
    std::vector<float> values(256);
    in.read(reinterpret_cast<char*>(values.data()), 1024);
    const std::vector<double> expected(values.begin(), values.end());
    const std::vector<int32_t> ids = {'"', 'i', 'n'};
    const auto model = load(*root + "/" + c.file, "exact");
    const double worst = logit_error(model, ids, expected);
    std::printf("table: %-30s largest difference %.1e\n", c.file, worst);
    CHECK(worst <= c.tolerance);
    Context steps(model);
    for (const int32_t id : ids) steps.append(id);
    const auto whole = Context(model).eval_all(ids);
    const auto last = steps.eval(ids);
    for (size_t i = 0; i < 256; ++i) CHECK(std::fabs(last[i] - whole[2 * 256 + i]) <= 1e-5);
  }
}

TEST_CASE("tinygpt: GPT-2 blocks with erf GELU and no attention biases equal the reference") {
  const auto root = lm_test::test_data("models/tinygpt-shakespeare");
  if (!root) return;
  const auto model = load(*root + "/hf", "exact");
  const json golden = read_json(*root + "/golden.json");
  for (const json& c : golden["cases"]) {
    const auto ids = c["prompt_ids"].get<std::vector<int32_t>>();
    const auto expected = c["greedy_ids"].get<std::vector<int32_t>>();
    CHECK(greedy(model, ids, static_cast<int64_t>(expected.size())) == expected);
    if (c.contains("last_logits"))
      CHECK(logit_error(model, ids, c["last_logits"].get<std::vector<double>>()) <= 1e-4);
  }
}

TEST_CASE(
    "Context: what is evaluated in parts, again, or after a shared prefix gives bitwise the same "
    "logits") {
  const auto root = lm_test::test_data("models/stories260K");
  if (!root) return;
  for (const char* file : {"/gguf/stories260K-F32.gguf", "/gguf/stories260K-Q4_0.gguf",
                           "/gguf/stories260K-Q8_0.gguf"}) {
    const auto model = load(*root + file);
    std::vector<int32_t> ids(300);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(3 + i * 37 % 500);
    Context whole(model), steps(model), shared(model);
    const auto all = whole.eval_all(ids);
    const auto expected = std::vector<float>(all.end() - model->info().vocab_size, all.end());
    std::vector<float> last;
    for (const int32_t id : ids) {
      const auto logits = steps.append(id);
      last.assign(logits.begin(), logits.end());
    }
    CHECK(last == expected);
    auto other = ids;
    other[200] = 7;
    shared.eval(other);
    const auto again = shared.eval(ids);
    CHECK(shared.n_reused() == 288);  // whole pages of what the others evaluated
    CHECK(std::vector<float>(again.begin(), again.end()) == expected);
  }
}
