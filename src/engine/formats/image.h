// Pictures as files and as pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lm {

struct Image {
  int64_t width = 0, height = 0, channels = 0;  // channels: 1 grey, 3 red green blue
  std::vector<uint8_t> pixels;                  // [height, width, channels]
};

// Sides and pixels of an image at most; checked before memory is taken.
inline constexpr int64_t kMostImageSide = 32768, kMostImagePixels = int64_t{1} << 26;

// PNG and JPEG. Transparency is left out, palettes and fewer bits become 8 bits, of 16 bits the
// upper 8 stay; a JPEG is turned as its EXIF orientation says. where: a name for messages. Throws
// unsupported for other formats and for CMYK, bad_file for broken data and sizes beyond the limits.
Image decode_image(std::span<const std::byte> bytes, const std::string& where);
// Throws not_found and io too.
Image open_image(const std::string& path);

// With 1 or 3 channels: luma by ITU-R 601-2 as Pillow computes it, or three times the grey.
Image with_channels(Image image, int64_t channels);
Image crop_image(const Image& image, int64_t x, int64_t y, int64_t width, int64_t height);

// Filters by Pillow's numbers.
enum class Resample : uint8_t { nearest, lanczos, bilinear, bicubic, box, hamming };

// Image.resize of Pillow before 13, bit for bit: filters widened when it makes smaller, along rows
// and then along columns (13 takes the cheaper first), 22 bit weights, 8 bits after each.
Image resize_image(const Image& image, int64_t width, int64_t height, Resample filter);

// The formats behind decode_image. Each fills `image` or throws.
bool looks_like_png(std::span<const std::byte> bytes);
Image decode_png(std::span<const std::byte> bytes, const std::string& where);
bool looks_like_jpeg(std::span<const std::byte> bytes);
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& where);
void check_image_size(int64_t width, int64_t height, const std::string& where);

}  // namespace lm
