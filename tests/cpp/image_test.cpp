// Pictures against Pillow and transformers' image processors (tests/data/images, see generate.py
// there), and broken ones.
#include "engine/formats/image.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "engine/api/model.h"
#include "engine/api/vision.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/checkpoint.h"
#include "engine/models/model_spec.h"

using namespace lm;

namespace {

const std::string kImages = std::string(LM_SOURCE_DIR) + "/tests/data/images/";

const TensorFile& golden() {
  static const TensorFile file = open_checkpoint(kImages + "golden.safetensors");
  return file;
}

// Largest difference of 8 bit values.
int difference(const Image& image, const TensorView& expected) {
  REQUIRE(expected.shape[0] == image.height);
  REQUIRE(expected.shape[1] == image.width);
  REQUIRE(expected.numel() == static_cast<int64_t>(image.pixels.size()));
  int worst = 0;
  for (size_t i = 0; i < image.pixels.size(); ++i)
    worst = std::max(worst, std::abs(image.pixels[i] - std::to_integer<int>(expected.data[i])));
  return worst;
}

std::vector<std::byte> bytes_of(const std::string& name) {
  const MappedFile file(kImages + name);
  return {file.bytes().begin(), file.bytes().end()};
}

}  // namespace

TEST_CASE("images: PNG and JPEG decode to Pillow's pixels") {
  size_t n = 0;
  for (const auto& [name, view] : golden().tensors) {
    if (name.find('/') != name.npos) continue;
    CAPTURE(name);
    CHECK(difference(with_channels(open_image(kImages + name), 3), view) == 0);
    ++n;
  }
  CHECK(n == 9);
  CHECK(difference(with_channels(open_image(kImages + "rgb.png"), 1),
                   golden().tensors.at("rgb.png/grey")) == 0);
}

TEST_CASE("images: every filter resizes to Pillow's pixels") {
  const Image image = open_image(kImages + "rgb.png");
  const char* filters[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
  size_t n = 0;
  for (size_t f = 0; f < 6; ++f) {
    const std::string prefix = std::string("rgb.png/") + filters[f] + "/";
    for (const auto& [name, view] : golden().tensors) {
      if (!name.starts_with(prefix)) continue;
      CAPTURE(name);
      CHECK(difference(resize_image(image, view.shape[1], view.shape[0], static_cast<Resample>(f)),
                       view) == 0);
      ++n;
    }
  }
  CHECK(n == 30);
}

TEST_CASE("images: broken and hostile files are refused") {
  for (const char* name :
       {"rgb.png", "palette.png", "photo.jpg", "progressive.jpg", "turned.jpg"}) {
    CAPTURE(name);
    const auto whole = bytes_of(name);
    for (size_t n = 0; n < whole.size(); n += 1 + n / 8)  // cut anywhere
      CHECK_THROWS_AS(decode_image(std::span(whole).first(n), name), Error);
    for (size_t i = 0; i < whole.size(); ++i) {  // one byte changed: an error or an image
      auto broken = whole;
      broken[i] ^= std::byte{0x5a};
      try {
        const Image image = decode_image(broken, name);
        CHECK(static_cast<int64_t>(image.pixels.size()) ==
              image.width * image.height * image.channels);
      } catch (const Error&) {
      }
    }
  }
  auto huge = bytes_of("rgb.png");
  std::memset(huge.data() + 16, 0x7f, 8);  // width and height; the checksum is wrong too
  CHECK_THROWS_AS(decode_image(huge, "huge"), Error);
  auto large = bytes_of("photo.jpg");
  for (size_t i = 0; i + 9 < large.size(); ++i)  // the frame header: height and width
    if (large[i] == std::byte{0xff} && large[i + 1] == std::byte{0xc0})
      std::memset(large.data() + i + 5, 0xfe, 4);
  CHECK_THROWS_WITH_AS(decode_image(large, "large"), doctest::Contains("at most"), Error);
  CHECK_THROWS_WITH_AS(open_image(kImages + "cmyk.jpg"), doctest::Contains("4 colours"), Error);
  CHECK_THROWS_WITH_AS(open_image(kImages + "generate.py"), doctest::Contains("not a PNG or JPEG"),
                       Error);
  CHECK_THROWS_AS(open_image(kImages + "absent.png"), Error);
}

TEST_CASE("images: pixel values equal those of transformers' image processors") {
  const std::string models = std::string(LM_SOURCE_DIR) + "/tests/data/models/";
  struct Case {
    const char *model, *processor;
  };
  for (const Case c : {Case{"vit", "/vit"}, Case{"smolvlm", "/smolvlm"}}) {
    const auto model = Model::load(models + c.model, {});
    size_t n = 0;
    for (const auto& [name, view] : golden().tensors) {
      if (!name.ends_with(c.processor)) continue;
      CAPTURE(name);
      const std::string file = name.substr(0, name.find('/'));
      const PreparedImage got = prepare_image(*model, open_image(kImages + file));
      const auto* expected = reinterpret_cast<const float*>(view.data);
      float worst = 0;
      size_t i = 0;
      for (const auto& values : got.views)
        for (const float v : values) {
          REQUIRE(static_cast<int64_t>(i) < view.numel());
          worst = std::max(worst, std::abs(v - expected[i++]));
        }
      CHECK(static_cast<int64_t>(i) == view.numel());
      CHECK(worst <= 1e-6f);
      ++n;
      const auto grid = golden().tensors.find(name + "-grid");
      if (grid == golden().tensors.end()) continue;
      const auto* rows = reinterpret_cast<const int64_t*>(grid->second.data);
      CHECK(got.rows == rows[0]);
      CHECK(got.columns == rows[1]);
    }
    CHECK(n >= 3);
  }
}
