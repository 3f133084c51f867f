// Feeds random bytes to the GGUF parser; any outcome but an lm::Error or success is a defect.
#include <cstdint>
#include <span>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = lm::GgufFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    for (const auto& key : file.keys()) {
      const auto* v = file.find(key);
      if (v->type == lm::GgufType::string)
        v->is_array ? (void)file.get_strings(key) : (void)file.get_string(key);
      else
        file.get_floats(key);
    }
  } catch (const lm::Error&) {
  }
  return 0;
}
