// PyTorch checkpoints from hostile bytes: as a zip file, and as the pickle inside of one.
#include <cstdint>
#include <span>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    for (const auto& [name, view] : lm::parse_torch(bytes, "fuzz")) {
      // Every view lies inside of the bytes.
      if (view.numel() > 0 &&
          (view.data < bytes.data() || view.data + view.size_bytes() > bytes.data() + bytes.size()))
        __builtin_trap();
    }
  } catch (const lm::Error&) {
  }
  try {
    lm::parse_pickle(bytes, "fuzz", [](const std::string&) { return true; });
  } catch (const lm::Error&) {
  }
  return 0;
}
