// Image input against transformers and vit-pytorch. The tiny checkpoints are those of
// tests/data/models (see generate.py there).
#include "engine/api/vision.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/api/embed.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/image.h"
#include "engine/formats/json_file.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using namespace lm;

namespace {

const std::string kModels = std::string(LM_SOURCE_DIR) + "/tests/data/models/";

std::shared_ptr<const Model> load(const std::string& path, const char* precision = "exact") {
  LoadOptions options;
  options.precision = precision;
  return Model::load(path, options);
}

struct Golden {
  TensorFile file;
  explicit Golden(const std::string& name)
      : file(open_checkpoint(kModels + name + "/golden.safetensors")) {}
  std::span<const float> floats(const char* name) const {
    const TensorView& v = file.tensors.at(name);
    return {reinterpret_cast<const float*>(v.data), static_cast<size_t>(v.numel())};
  }
  std::vector<int32_t> ids(const char* name = "ids") const {
    const TensorView& v = file.tensors.at(name);
    const auto* data = reinterpret_cast<const int64_t*>(v.data);
    return {data, data + v.numel()};
  }
  // Entry i of a tensor whose first dimension counts images.
  std::span<const float> image(const char* name, size_t i) const {
    const auto all = floats(name);
    const size_t n = all.size() / static_cast<size_t>(file.tensors.at(name).shape[0]);
    return all.subspan(i * n, n);
  }
};

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

}  // namespace

TEST_CASE("vision: class scores and hidden states of images equal transformers' float32") {
  struct Case {
    const char *name, *output;
  };
  for (const Case c : {Case{"vit", "image_scores"}, Case{"siglip", "image_hidden"}}) {
    CAPTURE(c.name);
    const Golden g(c.name);
    for (const char* precision : {"exact", "fast"}) {
      ImageEncoder encoder(load(kModels + c.name, precision));
      for (size_t i = 0; i < 2; ++i) {
        const auto pixels = g.image("pixels", i), expected = g.image(c.output, i);
        const double e = error(std::string(c.output) == "image_scores" ? encoder.scores(pixels)
                                                                       : encoder.hidden(pixels),
                               expected);
        std::printf("table: image %-10s %-5s error %.1e\n", c.name, precision, e);
        CHECK(e <= (std::string(precision) == "exact" ? 1e-4 : 1e-2));
      }
    }
  }
}

TEST_CASE("vision: text models that see images give transformers' float32 logits") {
  for (const char* name : {"smolvlm", "idefics3"}) {
    CAPTURE(name);
    const Golden g(name);
    const auto ids = g.ids(), more = [&] {
      auto longer = ids;
      longer.push_back(5);
      return longer;
    }();
    const auto expected = g.floats("image_logits");
    const size_t vocab = expected.size() / ids.size();
    for (const char* precision : {"exact", "fast"}) {
      const auto model = load(kModels + name, precision);
      const double most = std::string(precision) == "exact" ? 1e-4 : 2e-2;
      ImageEncoder encoder(model);
      std::vector<float> rows;
      for (size_t i = 0; i < 2; ++i) {
        const auto part = encoder.rows(g.image("pixels", i));
        rows.insert(rows.end(), part.begin(), part.end());
      }
      Context context(model);
      const auto blind = context.eval_all(ids);
      context.set_image_rows(rows);
      const double e = error(context.eval_all(ids), expected);
      std::printf("table: image and text %-10s %-5s error %.1e\n", name, precision, e);
      CHECK(e <= most);
      CHECK(error(blind, expected) > 0.1);
      // Token by token, and after a cut in the middle of an image.
      const auto last = expected.subspan(expected.size() - vocab);
      CHECK(error(context.eval(ids), last) <= most);
      context.eval(more);
      CHECK(context.n_reused() == static_cast<int64_t>(ids.size()));
      auto other = ids;
      other[5] = 6;  // an image token less
      CHECK_THROWS_WITH_AS(context.eval(other), doctest::Contains("7 image tokens for 8"), Error);
      context.set_image_rows(rows);
      CHECK(error(context.eval(ids), last) <= most);
      CHECK(context.n_reused() > 0);
      // Other images: nothing is reused.
      auto swapped = rows;
      std::swap(swapped[0], swapped[1]);
      context.set_image_rows(swapped);
      CHECK(error(context.eval(ids), last) > most);
      CHECK(context.n_reused() == 0);
      context.set_image_rows({});
      CHECK(error(context.eval_all(ids), blind) == 0.0);
    }
  }
  Context text(load(kModels + "llama"));
  CHECK_THROWS_WITH_AS(text.set_image_rows({}), doctest::Contains("cannot see images"), Error);
}

TEST_CASE("vision: a picture in a prompt has the tokens of transformers' processor") {
  const auto model = load(kModels + "smolvlm");
  const std::string file = std::string(LM_SOURCE_DIR) + "/tests/data/images/rgb.png";
  const std::string prompt = image_prompt(*model, prepare_image(*model, open_image(file)));
  const auto ids = model->tokenizer()->encode(prompt, {false, true});
  const auto expected = Golden("smolvlm").ids("chat_ids");
  CHECK(ids.size() == 46);
  CHECK(std::search(expected.begin(), expected.end(), ids.begin(), ids.end()) != expected.end());
  CHECK(image_token_text(*model) == "<image>");
  CHECK_THROWS_WITH_AS(image_token_text(*load(kModels + "llama")),
                       doctest::Contains("reads texts only"), Error);
}

TEST_CASE("vision: wrong inputs and models without images say what they are") {
  const auto vit = load(kModels + "vit"), llama = load(kModels + "llama");
  ImageEncoder encoder(vit);
  const std::vector<float> few(100);
  CHECK_THROWS_WITH_AS(encoder.scores(few), doctest::Contains("100 pixel values; expected 768"),
                       Error);
  const std::vector<float> pixels(3 * 16 * 16);
  CHECK_THROWS_WITH_AS(encoder.rows(pixels), doctest::Contains("no text model"), Error);
  CHECK_THROWS_WITH_AS(ImageEncoder{llama}, doctest::Contains("cannot see images"), Error);
  CHECK_THROWS_WITH_AS(Context{vit}, doctest::Contains("reads images, not texts"), Error);
  CHECK_THROWS_WITH_AS(Embedder{vit}, doctest::Contains("reads images, not texts"), Error);
  const auto siglip = load(kModels + "siglip");
  CHECK_THROWS_WITH_AS(ImageEncoder{siglip}.scores(pixels),
                       doctest::Contains("no classification head"), Error);
}

// Logits computed with float64 input by the author of the reference data; all 100 digits.
TEST_CASE("vision: vit-pytorch's MNIST classifier gives its logits, from both kinds of file") {
  const auto folder = lm_test::test_data("models/vit-mnist");
  if (!folder) return;
  const auto golden = read_json_file(*folder + "/golden.json").at("logits");
  const MappedFile images(*folder + "/mnist-images-idx3-ubyte");
  const auto bytes = images.bytes().subspan(16);
  for (const char* file : {"/model.safetensors", "/vit_mnist.pth"}) {
    ImageEncoder encoder(load(*folder + file));
    double worst = 0;
    for (size_t i = 0; i < golden.size(); ++i) {
      std::vector<float> pixels;
      for (size_t k = 0; k < 28 * 28; ++k)
        pixels.push_back(static_cast<float>(
            (std::to_integer<int>(bytes[i * 28 * 28 + k]) / 255.0 - 0.1307) / 0.3081));
      const auto expected = golden[i].get<std::vector<float>>();
      worst = std::max(worst, error(encoder.scores(pixels), expected));
    }
    std::printf("table: vit-mnist %-20s %zu images, error %.1e\n", file, golden.size(), worst);
    CHECK(golden.size() == 100);
    CHECK(worst <= 1e-4);  // relative to the largest logit of an image
  }
}
