// Resampling with the arithmetic of Pillow (src/libImaging/Resample.c describes it).
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"
#include "engine/formats/image.h"

namespace lm {
namespace {

constexpr int kBits = 22;  // of a weight; 8 of the pixel and 2 for sums beyond 1

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

struct Filter {
  double support;
  double (*weight)(double x);
};

Filter filter_of(Resample kind) {
  switch (kind) {
    case Resample::lanczos:
      return {3, [](double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0.0; }};
    case Resample::bicubic:
      return {2, [](double x) {
                constexpr double a = -0.5;
                x = std::fabs(x);
                if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
                return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
              }};
    case Resample::box:
      return {0.5, [](double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }};
    case Resample::hamming:
      return {1, [](double x) {
                x = std::fabs(x);
                if (x == 0) return 1.0;
                if (x >= 1) return 0.0;
                x *= std::numbers::pi;
                return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
              }};
    default:
      return {1, [](double x) { return std::max(0.0, 1 - std::fabs(x)); }};
  }
}

// What one output pixel is made of: weights of the inputs from `first` on.
struct Taps {
  int64_t first;
  std::vector<int32_t> weights;
};

std::vector<Taps> taps_of(int64_t in, int64_t out, Resample kind) {
  const Filter filter = filter_of(kind);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double widening = std::max(scale, 1.0), support = filter.support * widening;
  std::vector<Taps> all;
  all.reserve(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t end = std::min(in, static_cast<int64_t>(center + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t x = first; x < end; ++x) {
      weights.push_back(filter.weight((static_cast<double>(x) - center + 0.5) * (1.0 / widening)));
      sum += weights.back();
    }
    Taps taps{first, {}};
    for (double w : weights) {
      if (sum != 0) w /= sum;
      taps.weights.push_back(static_cast<int32_t>((w < 0 ? -0.5 : 0.5) + w * (1 << kBits)));
    }
    all.push_back(std::move(taps));
  }
  return all;
}

uint8_t rounded(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
}

// Values that lie `step` apart, weighted.
uint8_t weigh(const Taps& taps, const uint8_t* in, int64_t step) {
  int32_t sum = 1 << (kBits - 1);
  for (const int32_t w : taps.weights) {
    sum += *in * w;
    in += step;
  }
  return rounded(sum);
}

Image resize_rows(const Image& in, int64_t width, Resample kind) {
  const std::vector<Taps> taps = taps_of(in.width, width, kind);
  Image out{width, in.height, in.channels, {}};
  out.pixels.resize(static_cast<size_t>(width * in.height * in.channels));
  uint8_t* to = out.pixels.data();
  for (int64_t y = 0; y < in.height; ++y) {
    const uint8_t* line = in.pixels.data() + y * in.width * in.channels;
    for (const Taps& t : taps)
      for (int64_t c = 0; c < in.channels; ++c)
        *to++ = weigh(t, line + t.first * in.channels + c, in.channels);
  }
  return out;
}

Image resize_columns(const Image& in, int64_t height, Resample kind) {
  const std::vector<Taps> taps = taps_of(in.height, height, kind);
  Image out{in.width, height, in.channels, {}};
  const int64_t line = in.width * in.channels;
  out.pixels.resize(static_cast<size_t>(line * height));
  uint8_t* to = out.pixels.data();
  for (const Taps& t : taps)
    for (int64_t i = 0; i < line; ++i)
      *to++ = weigh(t, in.pixels.data() + t.first * line + i, line);
  return out;
}

Image pick_nearest(const Image& in, int64_t width, int64_t height) {
  Image out{width, height, in.channels, {}};
  out.pixels.reserve(static_cast<size_t>(width * height * in.channels));
  // Steps add up, rounding errors too.
  const auto sources = [](int64_t from, int64_t to) {
    const double step = static_cast<double>(from) / static_cast<double>(to);
    std::vector<int64_t> list;
    for (double at = step * 0.5; static_cast<int64_t>(list.size()) < to; at += step)
      list.push_back(std::min(from - 1, static_cast<int64_t>(at)));
    return list;
  };
  const std::vector<int64_t> columns = sources(in.width, width);
  for (const int64_t row : sources(in.height, height))
    for (const int64_t column : columns) {
      const auto pixel = in.pixels.begin() + (row * in.width + column) * in.channels;
      out.pixels.insert(out.pixels.end(), pixel, pixel + in.channels);
    }
  return out;
}

}  // namespace

Image resize_image(const Image& image, int64_t width, int64_t height, Resample filter) {
  check_image_size(width, height, "resized");
  check_image_size(width, image.height, "resized");
  if (filter == Resample::nearest) return pick_nearest(image, width, height);
  Image out = width == image.width ? image : resize_rows(image, width, filter);
  return height == image.height ? out : resize_columns(out, height, filter);
}

}  // namespace lm
