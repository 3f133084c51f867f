// Meta tokens (tests/data/models/hymba has 5 of them), and configurations of Hymba that contradict
// themselves. The logits themselves are compared in arch_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "test_data.h"

using namespace lm;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(LM_SOURCE_DIR) / "tests" / "data" / "models" / "hymba";

std::shared_ptr<const Model> load(const fs::path& folder) {
  LoadOptions options;
  options.precision = "exact";
  return Model::load(folder.string(), options);
}

struct Golden {
  TensorFile file = open_checkpoint((kFolder / "golden.safetensors").string());
  std::vector<int32_t> ids;
  Golden() {
    const TensorView& view = file.tensors.at("ids");
    const auto* data = reinterpret_cast<const int64_t*>(view.data);
    for (int64_t i = 0; i < view.numel(); ++i) ids.push_back(static_cast<int32_t>(data[i]));
  }
  // Logits after the first n tokens.
  std::span<const float> logits(size_t n) const {
    const TensorView& view = file.tensors.at("logits");
    const auto v = static_cast<size_t>(view.shape[1]);
    return {reinterpret_cast<const float*>(view.data) + (n - 1) * v, v};
  }
};

double error(std::span<const float> got, std::span<const float> expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(got[i] - expected[i])));
    size = std::max(size, std::fabs(static_cast<double>(expected[i])));
  }
  return worst / size;
}

}  // namespace

TEST_CASE("meta tokens: they are no tokens of the text and take none of its room") {
  const auto model = load(kFolder);
  const Golden g;
  CHECK(model->info().context_length == 64);
  for (const size_t n :
       {size_t{1}, size_t{3}, g.ids.size()}) {  // fewer tokens than meta tokens too
    CAPTURE(n);
    Context context(model, static_cast<int64_t>(n));
    CHECK(error(context.eval({g.ids.data(), n}), g.logits(n)) <= 1e-4);  // f32
    CHECK(context.tokens().size() == n);
    CHECK(context.n_ctx() == static_cast<int64_t>(n));
    CHECK_THROWS_AS(context.append(5), Error);
  }
  Context full(model);
  CHECK(full.eval_all(std::vector<int32_t>(64, 7)).size() == 64 * 96);
}

TEST_CASE("meta tokens: a context that turns to another text gives what a new one gives") {
  const auto model = load(kFolder);
  const Golden g;
  Context used(model), fresh(model);
  used.eval(std::vector<int32_t>{9, 8, 7, 6});
  const auto a = used.eval(g.ids), b = fresh.eval(g.ids);
  CHECK(used.n_reused() == 0);
  CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  CHECK(error(a, g.logits(g.ids.size())) <= 1e-4);
}

TEST_CASE("Hymba: configurations that contradict themselves or the tensors say what is wrong") {
  struct Case {
    const char *change, *message;
  };
  const lm_test::TemporaryFolder tmp;
  fs::create_symlink(kFolder / "model.safetensors", tmp.path / "model.safetensors");
  std::ifstream in(kFolder / "config.json");
  const auto config = nlohmann::json::parse(in);
  for (const Case& c : {
           Case{R"({"kv_reuse_group": [[2, 1]]})", "gives layer 1 the keys of layer 2"},
           Case{R"({"kv_reuse_group": [[1, 1]]})", "gives layer 1 the keys of layer 1"},
           Case{R"({"kv_reuse_group": [[1, 4]]})", "gives layer 4 the keys of layer 1"},
           Case{R"({"kv_reuse_group": [[-1, 2]]})", "gives layer 2 the keys of layer -1"},
           Case{R"({"kv_reuse_group": [[0, 1], [1, 2]]})", "gives layer 2 the keys of layer 1"},
           Case{R"({"kv_reuse_group": [[1, 1e300]]})", "gives layer 1e+300"},
           Case{R"({"kv_reuse_group": null})",
                "\"blk.2.ssm_in.weight\" has shape [160, 32]; expected [208, 32]"},
           Case{R"({"kv_reuse_group": null, "kv_reuse_every_i_layer": 2})",
                "\"blk.1.ssm_in.weight\" has shape [208, 32]; expected [160, 32]"},
           Case{R"({"num_memory_tokens": 6})", "expected 192 values"},
           Case{R"({"num_memory_tokens": -1})", "num_memory_tokens is -1"},
           Case{R"({"rope_type": "yarn"})", "rope_type is \"yarn\""},
           Case{R"({"orig_max_position_embeddings": 0})", "orig_max_position_embeddings is 0"},
           Case{R"({"memory_tokens_interspersed_every": 8})",
                "memory_tokens_interspersed_every is 8"},
           Case{R"({"num_experts": 4})", "num_experts is 4"},
           Case{R"({"mamba_expand": 3})", "blk.0."},
           Case{R"({"mamba_expand": 1e12})", "state spaces of"},
           Case{R"({"mlp_hidden_act": "relu6"})", "activation \"relu6\""},
       }) {
    CAPTURE(c.change);
    auto changed = config;
    changed.update(nlohmann::json::parse(c.change));
    std::ofstream(tmp.path / "config.json") << changed;
    CHECK_THROWS_WITH_AS(load(tmp.path), doctest::Contains(c.message), Error);
  }
}
