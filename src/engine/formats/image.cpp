#include "engine/formats/image.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"

namespace lm {

void check_image_size(int64_t width, int64_t height, const std::string& where) {
  LM_CHECK(width >= 1 && height >= 1 && width <= kMostImageSide && height <= kMostImageSide &&
               width * height <= kMostImagePixels,
           ErrorCode::bad_file,
           "{}: the image has {} x {} pixels; at most {} a side and {} are read", where, width,
           height, kMostImageSide, kMostImagePixels);
}

Image decode_image(std::span<const std::byte> bytes, const std::string& where) {
  if (looks_like_png(bytes)) return decode_png(bytes, where);
  if (looks_like_jpeg(bytes)) return decode_jpeg(bytes, where);
  raise(ErrorCode::unsupported, "{}: not a PNG or JPEG image; these are the formats that are read",
        where);
}

Image open_image(const std::string& path) {
  return decode_image(MappedFile(path).bytes(), path);
}

Image with_channels(Image image, int64_t channels) {
  if (image.channels == channels) return image;
  Image out{image.width, image.height, channels, {}};
  const auto n = static_cast<size_t>(image.width * image.height);
  out.pixels.reserve(n * static_cast<size_t>(channels));
  const uint8_t* in = image.pixels.data();
  for (size_t i = 0; i < n; ++i) {
    if (channels == 3) {
      out.pixels.insert(out.pixels.end(), 3, in[i]);
      continue;
    }
    const uint32_t luma = in[3 * i] * 19595u + in[3 * i + 1] * 38470u + in[3 * i + 2] * 7471u;
    out.pixels.push_back(static_cast<uint8_t>((luma + 0x8000) >> 16));
  }
  return out;
}

Image crop_image(const Image& image, int64_t x, int64_t y, int64_t width, int64_t height) {
  LM_CHECK(x >= 0 && y >= 0 && x + width <= image.width && y + height <= image.height,
           ErrorCode::internal, "crop of {} x {} at {}, {} leaves the image of {} x {}", width,
           height, x, y, image.width, image.height);
  Image out{width, height, image.channels, {}};
  for (int64_t row = 0; row < height; ++row) {
    const auto line = image.pixels.begin() + ((y + row) * image.width + x) * image.channels;
    out.pixels.insert(out.pixels.end(), line, line + width * image.channels);
  }
  return out;
}

}  // namespace lm
