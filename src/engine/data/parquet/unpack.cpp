#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "engine/data/parquet/decode.h"

namespace lm::parquet {
namespace {

// Codec numbers of parquet.thrift.
constexpr int kPlain = 0, kSnappy = 1, kGzip = 2, kZstd = 6;

bool inflate_all(std::span<const std::byte> packed, std::span<std::byte> out) {
  z_stream z{};
  constexpr int kAnyHeader = 15 + 32;  // gzip's or zlib's
  if (inflateInit2(&z, kAnyHeader) != Z_OK) return false;
  z.next_in = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(packed.data()));
  z.avail_in = static_cast<unsigned>(packed.size());
  z.next_out = reinterpret_cast<unsigned char*>(out.data());
  z.avail_out = static_cast<unsigned>(out.size());
  const int result = inflate(&z, Z_FINISH);
  const bool good = result == Z_STREAM_END && z.avail_out == 0;
  inflateEnd(&z);
  return good;
}

}  // namespace

std::vector<std::byte> unpack(int codec, std::span<const std::byte> packed, size_t size) {
  std::vector<std::byte> out(size);
  bool good = false;
  if (codec == kPlain) {
    return {packed.begin(), packed.end()};
  } else if (codec == kSnappy) {
    const auto* in = reinterpret_cast<const char*>(packed.data());
    size_t n = 0;
    good =
        snappy_uncompressed_length(in, packed.size(), &n) == SNAPPY_OK && n == size &&
        snappy_uncompress(in, packed.size(), reinterpret_cast<char*>(out.data()), &n) == SNAPPY_OK;
  } else if (codec == kGzip) {
    good = inflate_all(packed, out);
  } else if (codec == kZstd) {
    good = ZSTD_decompress(out.data(), size, packed.data(), packed.size()) == size;
  } else {
    raise(ErrorCode::unsupported,
          "the Parquet file is compressed by codec {}; Snappy, gzip and zstd can be read", codec);
  }
  if (!good) damaged("a page cannot be unpacked");
  return out;
}

}  // namespace lm::parquet
