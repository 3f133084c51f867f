// New models: the distributions that GPT-2's paper and its descendants state, folders that open,
// and room for new tokens.
#include "engine/api/new_model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/models/open_model.h"
#include "engine/text/tokenizer.h"
#include "engine/text/train/train_tokenizer.h"
#include "test_data.h"

namespace lm {
namespace {

// A tokenizer.json of 300 tokens in the folder.
std::string small_tokenizer(const lm_test::TemporaryFolder& folder) {
  TokenizerTraining o;
  o.vocab_size = 300;
  o.special_tokens = {"<|endoftext|>"};
  const LineSource lines = [](const auto& add) {
    for (int i = 0; i < 50; ++i) add("the cat sat on the mat and the dog sat on the log\n");
  };
  const std::string text = train_tokenizer(lines, o);
  const std::string path = (folder.path / "tokenizer.json").string();
  write_file_atomic(path, std::as_bytes(std::span(text)));
  return path;
}

NewModelOptions small(const lm_test::TemporaryFolder& folder, const std::string& architecture) {
  NewModelOptions o;
  o.shape.architecture = architecture;
  o.shape.hidden_size = 64;
  o.shape.n_layers = 3;
  o.shape.n_heads = 4;
  o.shape.ffn_size = 160;
  o.shape.context_length = 128;
  o.tokenizer = small_tokenizer(folder);
  o.folder = (folder.path / architecture).string();
  return o;
}

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0;
};

Moments moments(const TensorMap& tensors, const std::string& name) {
  const TensorView& view = tensors.at(name);
  std::vector<float> x(static_cast<size_t>(view.numel()));
  to_f32(view, 0, view.numel(), x.data());
  Moments m;
  const auto n = static_cast<double>(x.size());
  for (const float v : x) m.mean += static_cast<double>(v) / n;
  double fourth = 0;
  for (const float v : x) {
    const double d = static_cast<double>(v) - m.mean;
    m.deviation += d * d / n;
    fourth += d * d * d * d / n;
  }
  m.kurtosis = m.deviation > 0 ? fourth / (m.deviation * m.deviation) : 0;
  m.deviation = std::sqrt(m.deviation);
  return m;
}

}  // namespace

TEST_CASE("new models: weights are drawn as stated, the folder opens and has the sizes asked for") {
  const lm_test::TemporaryFolder folder;
  for (const char* architecture : {"llama", "qwen2", "qwen3", "gpt2"}) {
    CAPTURE(architecture);
    NewModelOptions o = small(folder, architecture);
    const bool gpt2 = std::string(architecture) == "gpt2";
    if (!gpt2) o.shape.n_kv_heads = 2;
    const NewModelResult r = write_new_model(o);
    const OpenedModel opened = open_model(o.folder);
    CHECK(r.vocab_size == opened.tokenizer->size());
    CHECK(opened.config.hidden_size == 64);
    CHECK(opened.config.n_kv_heads == (gpt2 ? 4 : 2));
    CHECK(opened.config.context_length == 128);
    REQUIRE(opened.tokenizer->eos().size() == 1);
    CHECK(opened.tokenizer->token_text(opened.tokenizer->eos()[0]) == "<|endoftext|>");
    const TensorMap& t = opened.file.tensors;
    // 10,240 numbers: the deviation's own is 0.7 %, the kurtosis' 0.05.
    const Moments up = moments(t, "blk.1.ffn_up.weight"),
                  down = moments(t, "blk.1.ffn_down.weight"),
                  norm = moments(t, "blk.2.ffn_norm.weight");
    CHECK(up.deviation == doctest::Approx(0.02).epsilon(0.03));
    CHECK(std::abs(up.mean) < 0.001);
    CHECK(up.kurtosis == doctest::Approx(3.0).epsilon(0.08));
    CHECK(down.deviation == doctest::Approx(0.02 / std::sqrt(6.0)).epsilon(0.03));
    CHECK(moments(t, "token_embd.weight").deviation == doctest::Approx(0.02).epsilon(0.03));
    CHECK(norm.mean == 1.0);
    CHECK(norm.deviation == 0.0);
    const Moments bias = moments(t, gpt2 ? "blk.0.attn_qkv.bias" : "blk.0.ffn_norm.weight");
    CHECK(bias.mean == (gpt2 ? 0.0 : 1.0));
    const auto model = Model::load(o.folder);
    CHECK(model->info().n_layers == 3);
  }
}

TEST_CASE("new models: a seed means the same weights; another model's shape can be taken") {
  const lm_test::TemporaryFolder folder;
  NewModelOptions o = small(folder, "llama");
  write_new_model(o);
  const std::string first = read_file(o.folder + "/model.safetensors");
  o.folder += "-again";
  write_new_model(o);
  CHECK(first == read_file(o.folder + "/model.safetensors"));
  NewModelOptions other;
  other.like = o.folder;
  other.folder = o.folder + "-like";
  other.seed = 7;
  write_new_model(other);
  CHECK(first != read_file(other.folder + "/model.safetensors"));
  CHECK(moments(open_model(other.folder).file.tensors, "blk.1.ffn_down.weight").deviation ==
        doctest::Approx(0.02 / std::sqrt(6.0)).epsilon(0.03));
  other.like = std::string(LM_SOURCE_DIR) + "/tests/data/models/gemma2";
  other.folder = o.folder + "-gemma2";
  write_new_model(other);
  // Gemma's checkpoints store norms less one.
  CHECK(moments(open_model(other.folder).file.tensors, "output_norm.weight").mean == 0.0);
}

TEST_CASE("new models: what does not fit together is refused") {
  const lm_test::TemporaryFolder folder;
  const auto message = [&](const std::function<void(NewModelOptions&)>& change) -> std::string {
    NewModelOptions o = small(folder, "llama");
    change(o);
    try {
      write_new_model(o);
    } catch (const Error& e) {
      return e.message();
    }
    return "";
  };
  CHECK(message([](auto& o) { o.shape.architecture = "lama"; }).find("llama, qwen2") !=
        std::string::npos);
  CHECK(message([](auto& o) { o.shape.n_kv_heads = 3; }).find("4 heads cannot share 3") !=
        std::string::npos);
  CHECK(message([](auto& o) { o.shape.hidden_size = 0; }).find("shape.hidden_size is 0") !=
        std::string::npos);
  CHECK(message([](auto& o) { o.shape.hidden_size = 60; }).find("an even number") !=
        std::string::npos);
  CHECK(message([](auto& o) { o.tokenizer = "none"; }).find("does not exist") != std::string::npos);
}

TEST_CASE("new tokens: rows are the mean of the others, the tokenizer knows them, the rest stays") {
  const lm_test::TemporaryFolder folder;
  NewModelOptions o = small(folder, "llama");
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    o.shape.tie_embeddings = tied;
    o.folder = (folder.path / (tied ? "tied" : "untied")).string();
    write_new_model(o);
    const std::string grown = o.folder + "-grown";
    CHECK(write_with_new_tokens(o.folder, {"<|think|>", "<|endoftext|>", "<|tool|>"}, grown) == 2);
    const OpenedModel before = open_model(o.folder), after = open_model(grown);
    const int32_t n = before.tokenizer->size();
    CHECK(after.tokenizer->size() == n + 2);
    CHECK(after.config.vocab_size == n + 2);
    CHECK(after.tokenizer->encode("<|tool|>", {.add_special = false, .parse_special = true}) ==
          std::vector<int32_t>{n + 1});
    for (const char* name : {"token_embd.weight", "output.weight"}) {
      if (tied && std::string(name) == "output.weight") continue;
      const TensorView& a = before.file.tensors.at(name);
      const TensorView& b = after.file.tensors.at(name);
      REQUIRE(b.shape == Shape{n + 2, 64});
      const auto* old_rows = reinterpret_cast<const float*>(a.data);
      const auto* new_rows = reinterpret_cast<const float*>(b.data);
      CHECK(std::equal(old_rows, old_rows + n * 64, new_rows));
      for (const int64_t c : {0, 17, 63}) {
        double mean = 0;
        for (int64_t r = 0; r < n; ++r) mean += static_cast<double>(old_rows[r * 64 + c]) / n;
        CHECK(static_cast<double>(new_rows[n * 64 + c]) == doctest::Approx(mean).epsilon(1e-5));
        CHECK(new_rows[n * 64 + c] == new_rows[(n + 1) * 64 + c]);
      }
    }
    CHECK(Model::load(grown)->info().vocab_size == n + 2);
  }
}

}  // namespace lm
