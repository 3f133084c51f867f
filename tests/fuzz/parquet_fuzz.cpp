// Parquet files from hostile bytes.
#include <cstdint>
#include <span>

#include "engine/core/error.h"
#include "engine/data/parquet.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    int64_t rows = 0;
    lm::read_parquet(std::as_bytes(std::span(data, size)), "fuzz",
                     [&](const lm::SourceRow&) { return ++rows < 10000; });
  } catch (const lm::Error&) {
  }
  return 0;
}
