// JPEG through libjpeg-turbo. Its errors jump; everything that must be cleaned up is made before.
// jpeglib.h wants these before it.
#include <cstddef>
#include <cstdio>
//
#include <jpeglib.h>
//
#include <jerror.h>

#include <csetjmp>
#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/image.h"

namespace lm {
namespace {

// A progressive image may have any number of scans, each of which costs a pass over all of it.
constexpr int kMostScans = 500;

struct Decoder {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  char problem[JMSG_LENGTH_MAX] = "";

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { jpeg_destroy_decompress(&jpeg); }
};

void on_error(j_common_ptr jpeg) {
  auto* d = static_cast<Decoder*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, d->problem);
  std::longjmp(d->jump, 1);
}

// Odd bytes that cameras leave are nobody's business; a picture with a missing part is.
void on_message(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) on_error(jpeg);
}

void on_progress(j_common_ptr jpeg) {
  if (!jpeg->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMostScans) return;
  auto* d = static_cast<Decoder*>(jpeg->client_data);
  std::snprintf(d->problem, sizeof d->problem, "more than %d scans", kMostScans);
  std::longjmp(d->jump, 1);
}

bool begin(Decoder* d, std::span<const std::byte> bytes) {
  if (setjmp(d->jump)) return false;
  jpeg_create_decompress(&d->jpeg);
  d->jpeg.client_data = d;
  d->jpeg.progress = &d->progress;
  d->jpeg.mem->max_memory_to_use = 1L << 30;
  jpeg_mem_src(&d->jpeg, reinterpret_cast<const unsigned char*>(bytes.data()),
               static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&d->jpeg, JPEG_APP0 + 1, 0xffff);  // EXIF
  jpeg_read_header(&d->jpeg, TRUE);
  return true;
}

bool read_rows(Decoder* d, uint8_t* pixels, size_t line) {
  if (setjmp(d->jump)) return false;
  jpeg_start_decompress(&d->jpeg);
  while (d->jpeg.output_scanline < d->jpeg.output_height) {
    JSAMPROW row = pixels + d->jpeg.output_scanline * line;
    jpeg_read_scanlines(&d->jpeg, &row, 1);
  }
  jpeg_finish_decompress(&d->jpeg);
  return true;
}

// The EXIF orientation, 1..8: entry 0x112 of the first directory of a TIFF file inside of the APP1
// segment. 1 when there is none.
int orientation(const jpeg_marker_struct* marker) {
  while (marker != nullptr && (marker->marker != JPEG_APP0 + 1 || marker->data_length < 14 ||
                               std::memcmp(marker->data, "Exif\0", 6) != 0))
    marker = marker->next;
  if (marker == nullptr) return 1;
  const std::span<const uint8_t> tiff(marker->data + 6, marker->data_length - 6);
  const bool little = tiff[0] == 'I';
  const auto number = [&](size_t at, size_t n) {
    uint32_t out = 0;
    for (size_t i = 0; i < n; ++i) out = out << 8 | tiff[at + (little ? n - 1 - i : i)];
    return out;
  };
  const size_t directory = number(4, 4);
  if (directory + 2 > tiff.size()) return 1;
  for (size_t i = 0, n = number(directory, 2); i < n; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return 1;
    if (number(entry, 2) == 0x112) return static_cast<int>(number(entry + 8, 2));
  }
  return 1;
}

// Orientations from 5 on swap rows and columns; then the picture is mirrored or not.
Image turned(Image image, int how) {
  if (how < 2 || how > 8) return image;
  const bool swap = how >= 5;
  const bool from_right = how == 2 || how == 3 || how == 7 || how == 8;
  const bool from_below = how == 3 || how == 4 || how == 6 || how == 7;
  Image out{
      swap ? image.height : image.width, swap ? image.width : image.height, image.channels, {}};
  out.pixels.reserve(image.pixels.size());
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      int64_t column = swap ? y : x, row = swap ? x : y;
      if (from_right) column = image.width - 1 - column;
      if (from_below) row = image.height - 1 - row;
      const auto pixel = image.pixels.begin() + (row * image.width + column) * image.channels;
      out.pixels.insert(out.pixels.end(), pixel, pixel + image.channels);
    }
  return out;
}

}  // namespace

bool looks_like_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} &&
         bytes[2] == std::byte{0xff};
}

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& where) {
  Decoder d;
  d.jpeg.err = jpeg_std_error(&d.errors);
  d.errors.error_exit = on_error;
  d.errors.emit_message = on_message;
  d.progress.progress_monitor = on_progress;
  d.jpeg.client_data = &d;
  LM_CHECK(begin(&d, bytes), ErrorCode::bad_file, "{}: broken JPEG image: {}", where, d.problem);
  check_image_size(d.jpeg.image_width, d.jpeg.image_height, where);
  LM_CHECK(d.jpeg.num_components == 1 || d.jpeg.num_components == 3, ErrorCode::unsupported,
           "{}: a JPEG image of {} colours; grey and RGB ones are read", where,
           d.jpeg.num_components);
  const bool grey = d.jpeg.num_components == 1;
  d.jpeg.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
  Image image{d.jpeg.image_width, d.jpeg.image_height, grey ? 1 : 3, {}};
  const auto line = static_cast<size_t>(image.width * image.channels);
  image.pixels.resize(line * static_cast<size_t>(image.height));
  const int how = orientation(d.jpeg.marker_list);  // gone when all is read
  LM_CHECK(read_rows(&d, image.pixels.data(), line), ErrorCode::bad_file,
           "{}: broken JPEG image: {}", where, d.problem);
  return turned(std::move(image), how);
}

}  // namespace lm
