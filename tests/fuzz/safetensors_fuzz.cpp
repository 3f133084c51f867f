// Feeds random bytes to the safetensors, llama2.c and rwkv.cpp parsers; any outcome but an
// lm::Error or success is a defect.
#include <cstdint>
#include <span>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes{reinterpret_cast<const std::byte*>(data), size};
  try {
    lm::parse_safetensors(bytes, "fuzz");
  } catch (const lm::Error&) {
  }
  try {
    lm::Llama2cHeader header;
    lm::parse_llama2c(bytes, "fuzz", &header);
  } catch (const lm::Error&) {
  }
  try {
    lm::parse_rwkv_file(bytes, "fuzz");
  } catch (const lm::Error&) {
  }
  return 0;
}
