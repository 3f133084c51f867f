// PNG through libpng. Its errors jump; everything that must be cleaned up is made before.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/image.h"

namespace lm {
namespace {

// Ancillary chunks and decompressed texts take memory of their own.
constexpr png_alloc_size_t kMostChunk = size_t{1} << 23;

struct Decoder {
  std::span<const std::byte> bytes;
  size_t at = 0;
  png_structp png = nullptr;
  png_infop info = nullptr;
  char problem[200] = "";

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

void on_error(png_structp png, png_const_charp message) {
  auto* d = static_cast<Decoder*>(png_get_error_ptr(png));
  std::strncpy(d->problem, message, sizeof d->problem - 1);
  png_longjmp(png, 1);
}

void read_bytes(png_structp png, png_bytep out, size_t n) {
  auto* d = static_cast<Decoder*>(png_get_io_ptr(png));
  if (n > d->bytes.size() - d->at) png_error(png, "the file ends early");
  std::memcpy(out, d->bytes.data() + d->at, n);
  d->at += n;
}

// Header and conversions to 8 bit grey or RGB. False when libpng failed.
bool begin(Decoder* d) {
  if (setjmp(png_jmpbuf(d->png))) return false;
  png_set_user_limits(d->png, kMostImageSide, kMostImageSide);
  png_set_chunk_malloc_max(d->png, kMostChunk);
  png_set_read_fn(d->png, d, read_bytes);
  png_read_info(d->png, d->info);
  png_set_expand(d->png);
  png_set_strip_16(d->png);
  png_set_strip_alpha(d->png);
  png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
  return true;
}

bool read_rows(Decoder* d, png_bytep* rows) {
  if (setjmp(png_jmpbuf(d->png))) return false;
  png_read_image(d->png, rows);
  return true;
}

}  // namespace

bool looks_like_png(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 &&
         png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
}

Image decode_png(std::span<const std::byte> bytes, const std::string& where) {
  Decoder d;
  d.bytes = bytes;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error,
                                 [](png_structp, png_const_charp) {});
  LM_CHECK(d.png != nullptr, ErrorCode::internal, "libpng could not be started");
  d.info = png_create_info_struct(d.png);
  LM_CHECK(d.info != nullptr && begin(&d), ErrorCode::bad_file, "{}: broken PNG image: {}", where,
           d.problem);
  Image image{png_get_image_width(d.png, d.info),
              png_get_image_height(d.png, d.info),
              png_get_channels(d.png, d.info),
              {}};
  check_image_size(image.width, image.height, where);
  const auto line = static_cast<size_t>(image.width * image.channels);
  LM_CHECK((image.channels == 1 || image.channels == 3) && png_get_rowbytes(d.png, d.info) == line,
           ErrorCode::bad_file, "{}: broken PNG image: {} channels", where, image.channels);
  image.pixels.resize(line * static_cast<size_t>(image.height));
  std::vector<png_bytep> rows;
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y)
    rows.push_back(image.pixels.data() + y * line);
  LM_CHECK(read_rows(&d, rows.data()), ErrorCode::bad_file, "{}: broken PNG image: {}", where,
           d.problem);
  return image;
}

}  // namespace lm
