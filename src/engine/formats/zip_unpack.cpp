// Unpacking members of zip files, by zlib.
#include <zlib.h>

#include <algorithm>
#include <memory>

#include "engine/core/error.h"
#include "engine/formats/zip.h"

namespace lm {
namespace {

constexpr size_t kPiece = size_t{1} << 18;
constexpr uInt kMaxInput = 1 << 30;

// Counts what comes out and compares it with the directory.
class Checked {
 public:
  Checked(const ZipEntry& entry, const std::string& name,
          const std::function<void(std::string_view)>& sink)
      : entry_(entry), name_(name), sink_(sink) {}

  void add(std::string_view piece) {
    size_ += piece.size();
    LM_CHECK(size_ <= entry_.size, ErrorCode::bad_file,
             "{}: member \"{}\" unpacks to more than the {} bytes it declares", name_, entry_.name,
             entry_.size);
    crc_ = ::crc32_z(crc_, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
    sink_(piece);
  }
  void end() const {
    LM_CHECK(size_ == entry_.size && crc_ == entry_.crc32, ErrorCode::bad_file,
             "{}: member \"{}\" is damaged: {} bytes, CRC-32 {:08x}; expected {} bytes, {:08x}",
             name_, entry_.name, size_, crc_, entry_.size, entry_.crc32);
  }

 private:
  const ZipEntry& entry_;
  const std::string& name_;
  const std::function<void(std::string_view)>& sink_;
  uint64_t size_ = 0;
  uLong crc_ = ::crc32_z(0, nullptr, 0);
};

void inflate_to(const ZipEntry& entry, const std::string& name, Checked& out) {
  z_stream z{};
  LM_CHECK(::inflateInit2(&z, -MAX_WBITS) == Z_OK, ErrorCode::out_of_memory, "zlib: no memory");
  const std::unique_ptr<z_stream, decltype(&::inflateEnd)> ended(&z, ::inflateEnd);
  const auto buffer = std::make_unique<Bytef[]>(kPiece);
  size_t at = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (z.avail_in == 0) {
      z.avail_in = static_cast<uInt>(std::min<size_t>(entry.packed.size() - at, kMaxInput));
      z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(entry.packed.data() + at));
      at += z.avail_in;
    }
    z.next_out = buffer.get();
    z.avail_out = kPiece;
    status = ::inflate(&z, Z_NO_FLUSH);
    LM_CHECK(status == Z_OK || status == Z_STREAM_END, ErrorCode::bad_file,
             "{}: member \"{}\" cannot be unpacked ({})", name, entry.name,
             z.msg ? z.msg : "it ends early");
    out.add({reinterpret_cast<const char*>(buffer.get()), kPiece - z.avail_out});
  }
}

}  // namespace

void unpack_zip_entry(const ZipEntry& entry, const std::string& name,
                      const std::function<void(std::string_view)>& sink) {
  LM_CHECK(entry.method == 0 || entry.method == 8, ErrorCode::unsupported,
           "{}: member \"{}\" is compressed with method {}; expected 0 (stored) or 8 (deflate)",
           name, entry.name, entry.method);
  Checked out(entry, name, sink);
  if (entry.method == 8) {
    inflate_to(entry, name, out);
  } else {
    const std::string_view all(reinterpret_cast<const char*>(entry.packed.data()),
                               entry.packed.size());
    for (size_t at = 0; at < all.size(); at += kPiece) out.add(all.substr(at, kPiece));
  }
  out.end();
}

}  // namespace lm
