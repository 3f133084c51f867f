// From a picture to what a model sees of it, as transformers' image processors with Pillow do it.
#include <fmt/format.h>

#include <algorithm>

#include "engine/api/model.h"
#include "engine/api/vision.h"
#include "engine/core/error.h"
#include "engine/formats/image.h"
#include "engine/infer/image_spec.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

struct Size {
  int64_t width, height;
};

int64_t even_up(int64_t n) {
  return n + n % 2;
}

int64_t multiple_up(int64_t n, int64_t of) {
  return (n + of - 1) / of * of;
}

// The shorter side for a longer one of `edge`. The order of the operations decides the rounding.
int64_t other_side(Size size, int64_t edge) {
  const double ratio = static_cast<double>(size.width) / static_cast<double>(size.height);
  const double side = static_cast<double>(edge);
  return static_cast<int64_t>(size.width >= size.height ? side / ratio : side * ratio);
}

// The longest side becomes `edge`, the other one keeps the proportion and is even.
Size with_longest(Size size, int64_t edge) {
  const int64_t other = std::max<int64_t>(1, even_up(other_side(size, edge)));
  return size.width >= size.height ? Size{edge, other} : Size{other, edge};
}

// Both sides become multiples of a tile's.
Size in_tiles(Size size, int64_t tile) {
  const bool wide = size.width >= size.height;
  const int64_t longer = multiple_up(wide ? size.width : size.height, tile);
  const int64_t other = multiple_up(other_side(size, longer), tile);
  return wide ? Size{longer, other} : Size{other, longer};
}

std::vector<float> pixel_values(const Image& image, const ImagePreprocessSpec& p) {
  const auto n = static_cast<size_t>(image.width * image.height);
  const auto channels = static_cast<size_t>(image.channels);
  std::vector<float> out(n * channels);
  for (size_t c = 0; c < channels; ++c) {
    const auto mean = static_cast<float>(p.mean[c]), std = static_cast<float>(p.std[c]);
    for (size_t i = 0; i < n; ++i) {
      const auto value = static_cast<float>(image.pixels[i * channels + c] * p.rescale);
      out[c * n + i] = (value - mean) / std;
    }
  }
  return out;
}

}  // namespace

PreparedImage prepare_image(const Model& model, const Image& picture) {
  const ImageInputSpec& spec = *image_spec(model).image;
  const ImagePreprocessSpec& p = spec.preprocess;
  const int64_t tile = spec.image_size;
  Image image = with_channels(picture, spec.n_channels);
  PreparedImage out;
  const auto resize = [&](Size size) {
    image = resize_image(image, size.width, size.height, p.filter);
  };
  if (p.longest_edge > 0) resize(with_longest({image.width, image.height}, p.longest_edge));
  if (p.longest_edge > 0 && p.tiles) {
    resize(in_tiles({image.width, image.height}, tile));
    if (image.width > tile || image.height > tile) {
      out.rows = image.height / tile;
      out.columns = image.width / tile;
    }
  }
  for (int64_t row = 0; row < out.rows; ++row)
    for (int64_t column = 0; column < out.columns; ++column)
      out.views.push_back(
          pixel_values(crop_image(image, column * tile, row * tile, tile, tile), p));
  resize({tile, tile});
  out.views.push_back(pixel_values(image, p));
  return out;
}

std::string image_token_text(const Model& model) {
  const ModelSpec& spec = model.spec();
  LM_CHECK(spec.vision != nullptr, ErrorCode::unsupported,
           "the model \"{}\" reads texts only; it cannot see images", model.info().name);
  return std::string(model.tokenizer()->token_text(spec.image_token));
}

std::string image_prompt(const Model& model, const PreparedImage& image) {
  const ImageInputSpec& spec = *image_spec(model).image;
  const std::string token = image_token_text(model);
  std::string all, out;
  for (int64_t i = 0; i < spec.n_rows(); ++i) all += token;
  for (int64_t row = 1; row <= image.rows; ++row) {
    for (int64_t column = 1; column <= image.columns; ++column)
      out += fmt::format("{}<row_{}_col_{}>{}", spec.around_text, row, column, all);
    out += '\n';
  }
  if (image.rows > 0) out += '\n';
  return out + spec.around_text + spec.whole_text + all + spec.around_text;
}

}  // namespace lm
