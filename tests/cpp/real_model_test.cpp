// Real models against what transformers computes from the very same files in float32. What the
// references may be trusted for, and the tolerances, is in the README beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

namespace {

using Ids = std::vector<int32_t>;

json read_golden(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

std::shared_ptr<const Model> load(const std::string& path, const char* precision) {
  LoadOptions options;
  options.precision = precision;
  return Model::load(path, options);
}

Ids greedy(const std::shared_ptr<const Model>& model, const Ids& prompt, size_t n) {
  GenerateOptions options;
  options.max_tokens = static_cast<int64_t>(n);
  Generation generation(std::make_shared<Context>(model), prompt, options);
  std::string piece;
  while (generation.next(&piece)) {
  }
  return generation.tokens();
}

// log p of every token of the vocabulary.
std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - top);
  std::vector<double> out(logits.size());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<double>(logits[i]) - top - std::log(sum);
  return out;
}

struct Expected {
  const char* name;   // of the golden file and in perplexity.json
  const char* model;  // file
  size_t greedy_tokens;
};

constexpr Expected kModels[] = {
    {"smollm2-135m-instruct.q4_1", "SmolLM2-135M-Instruct.Q4_1.gguf", 32},
    {"gemma-3-270m.q4_k_m", "gemma-3-270m-q4_k_m.gguf", 8},
    {"qwen2.5-coder-0.5b-instruct.q4_k_m", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", 4},
};

// The largest difference from the reference's 20 best logits after the prompt.
double logit_error(const std::shared_ptr<const Model>& model, const json& c) {
  Context context(model);
  const auto logits = context.eval(c["ids"].get<Ids>());
  double worst = 0;
  for (const json& t : c["hf"]["top20"])
    worst = std::max(
        worst, std::fabs(static_cast<double>(logits[t[0].get<size_t>()]) - t[1].get<double>()));
  return worst;
}

double nll_error(const std::shared_ptr<const Model>& model, const json& c) {
  const auto ids = c["ids"].get<Ids>();
  const auto nll = c["hf"]["nll"].get<std::vector<double>>();
  const auto all = Context(model).eval_all(ids);
  const size_t vocab = all.size() / ids.size();
  double worst = 0;
  for (size_t i = 0; i < nll.size(); ++i) {
    const auto p = log_softmax(std::span<const float>(all).subspan(i * vocab, vocab));
    worst = std::max(worst, std::fabs(-p[static_cast<size_t>(ids[i + 1])] - nll[i]));
  }
  return worst;
}

struct WindowResult {
  double nll = 0;        // mean, of the exact mode
  double kl = 0;         // mean KL(exact to fast)
  double agreement = 0;  // share of positions with the same best token
};

// Positions of a window that the fast mode is compared at.
constexpr size_t kCompared = 384;

// One window of the perplexity text: all of it in the exact mode, its beginning in both.
WindowResult window(const std::shared_ptr<const Model>& exact,
                    const std::shared_ptr<const Model>& fast, const Ids& ids) {
  const auto a = Context(exact).eval_all(ids), b = Context(fast).eval_all({ids.data(), kCompared});
  const size_t vocab = a.size() / ids.size(), n = ids.size() - 1;
  WindowResult r;
  for (size_t i = 0; i < n; ++i) {
    const auto p = log_softmax(std::span<const float>(a).subspan(i * vocab, vocab));
    r.nll -= p[static_cast<size_t>(ids[i + 1])];
    if (i >= kCompared) continue;
    const auto q = log_softmax(std::span<const float>(b).subspan(i * vocab, vocab));
    for (size_t v = 0; v < vocab; ++v) r.kl += std::exp(p[v]) * (p[v] - q[v]);
    r.agreement += std::max_element(p.begin(), p.end()) - p.begin() ==
                   std::max_element(q.begin(), q.end()) - q.begin();
  }
  const auto compared = static_cast<double>(kCompared);
  return {r.nll / static_cast<double>(n), r.kl / compared, r.agreement / compared};
}

void check_case(const Expected& e, const std::shared_ptr<const Model>& exact, const json& c,
                double* logits, double* nll) {
  *logits = std::max(*logits, logit_error(exact, c));
  if (c["ids"].size() <= 100) *nll = std::max(*nll, nll_error(exact, c));
  const json& g = c["hf"]["greedy"];
  const auto expected = g["ids"].get<Ids>();
  const size_t sure =
      g["first_near_tie"].is_null() ? expected.size() : g["first_near_tie"].get<size_t>();
  const size_t n = std::min({sure, e.greedy_tokens, expected.size()});
  auto produced = greedy(exact, c["ids"].get<Ids>(), n);
  if (produced.size() < n)
    produced.push_back(expected[produced.size()]);  // the end token, not kept
  CHECK(produced == Ids(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(n)));
}

}  // namespace

TEST_CASE(
    "real models: the exact mode equals transformers; the fast mode is closer than llama.cpp") {
  const auto perplexity_path = lm_test::test_data("models/real-goldens/perplexity.json");
  if (!perplexity_path) return;
  const json perplexity = read_golden(*perplexity_path);
  for (const Expected& e : kModels) {
    CAPTURE(e.name);
    const auto path = lm_test::test_model(e.model);
    const auto goldens = lm_test::test_data(std::string("models/real-goldens/") + e.name + ".json");
    if (!path || !goldens) continue;
    const json golden = read_golden(*goldens);
    const auto exact = load(*path, "exact"), fast = load(*path, "fast");
    double logits = 0, nll = 0, fast_logits = 0;
    int cases = 0;
    for (const char* set : {"prompts", "chats"})
      for (const json& c : golden.value(set, json::array())) {
        CAPTURE(c["id"].get<std::string>());
        check_case(e, exact, c, &logits, &nll);
        fast_logits = std::max(fast_logits, logit_error(fast, c));
        ++cases;
      }
    const json& p = perplexity["models"][e.name];
    auto ids = p["ids"].get<Ids>();
    ids.resize(512);
    if (!p["bos_before_each_window"].is_null())
      ids.insert(ids.begin(), p["bos_before_each_window"].get<int32_t>());
    const WindowResult w = window(exact, fast, ids);
    const double expected = p["hf"]["window_nll_mean"][0].get<double>();
    const double kl = p["llama_cpp"]["kl_mean"].get<double>();
    std::printf(
        "  %-36s %2d cases  |dlogit| %.1e  |dnll| %.1e  fast |dlogit| %.1e  KL %.1e (llama.cpp "
        "%.1e)  same best %.4f\n",
        e.name, cases, logits, nll, fast_logits, w.kl, kl, w.agreement);
    std::fflush(stdout);
    CHECK(logits <= 1e-3);
    CHECK(nll <= 1e-3);
    CHECK(std::fabs(w.nll - expected) <= 1e-4);  // perplexity within 0.01 %
    CHECK(w.kl < kl);
    CHECK(w.agreement >= p["llama_cpp"]["top1_agreement"].get<double>());
  }
}

TEST_CASE("real models: all-MiniLM's tokens and embeddings equal transformers'") {
  const auto path = lm_test::test_model("all-MiniLM-L6-v2");
  const auto goldens = lm_test::test_data("models/real-goldens/all-minilm-l6-v2.json");
  if (!path || !goldens) return;
  const json golden = read_golden(*goldens);
  for (const char* precision : {"exact", "fast"}) {
    const auto model = load(*path, precision);
    Embedder embedder(model);
    double worst = 0;
    for (const json& s : golden["sentences"]) {
      auto ids = model->tokenizer()->encode(s["text"].get<std::string>());
      const auto expected_ids = s["ids"].get<Ids>();
      if (ids.size() > expected_ids.size()) {  // the reference cuts long texts, keeping [SEP]
        ids.resize(expected_ids.size());
        ids.back() = expected_ids.back();
      }
      CHECK(ids == expected_ids);
      const auto v = embedder.embed({{expected_ids, {}}})[0];
      const auto expected = s["embedding"].get<std::vector<double>>();
      REQUIRE(v.size() == expected.size());
      for (size_t i = 0; i < v.size(); ++i)
        worst = std::max(worst, std::fabs(static_cast<double>(v[i]) - expected[i]));
    }
    std::printf("table: all-MiniLM-L6-v2 (%s): 12 sentences, largest difference %.1e\n", precision,
                worst);
    CHECK(worst <= 1e-5);
  }
}
