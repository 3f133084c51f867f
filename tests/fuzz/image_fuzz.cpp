// Pictures from hostile bytes.
#include <cstdint>
#include <span>

#include "engine/core/error.h"
#include "engine/formats/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const lm::Image image = lm::decode_image(std::as_bytes(std::span(data, size)), "fuzz");
    if (image.width * image.height < 1 << 16) lm::resize_image(image, 9, 7, lm::Resample::lanczos);
  } catch (const lm::Error&) {
  }
  return 0;
}
