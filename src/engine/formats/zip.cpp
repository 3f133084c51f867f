#include "engine/formats/zip.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kEntryBytes = 46,
                   kLocalBytes = 30;
constexpr uint64_t kMaxMembers = 1 << 20;

class Zip {
 public:
  Zip(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::vector<ZipEntry> entries() const {
    const Directory d = find_directory();
    LM_CHECK(d.count <= kMaxMembers && d.count <= bytes_.size() / kEntryBytes, ErrorCode::bad_file,
             "{}: the zip directory claims {} members; a file of {} bytes cannot hold them", name_,
             d.count, bytes_.size());
    std::vector<ZipEntry> out;
    uint64_t at = d.offset;
    for (uint64_t i = 0; i < d.count; ++i) read_entry(&at, &out);
    return out;
  }

 private:
  struct Directory {
    uint64_t offset, count;
  };

  template <typename T>
  T at(uint64_t offset, const char* what) const {
    LM_CHECK(offset <= bytes_.size() && bytes_.size() - offset >= sizeof(T), ErrorCode::bad_file,
             "{}: the zip file ends inside {} (byte {} of {})", name_, what, offset, bytes_.size());
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  bool has(uint64_t offset, const char (&signature)[5]) const {
    return offset <= bytes_.size() && bytes_.size() - offset >= 4 &&
           std::memcmp(bytes_.data() + offset, signature, 4) == 0;
  }

  // The record at the very end, before a comment of at most 65535 bytes.
  Directory find_directory() const {
    LM_CHECK(bytes_.size() >= kEndBytes, ErrorCode::bad_file,
             "{}: {} bytes; a zip file has at least {}", name_, bytes_.size(), kEndBytes);
    const uint64_t last = bytes_.size() - kEndBytes;
    for (uint64_t back = 0; back <= std::min<uint64_t>(last, 65535); ++back) {
      const uint64_t end = last - back;
      if (!has(end, "PK\5\6") || at<uint16_t>(end + 20, "the end record") != back) continue;
      LM_CHECK(at<uint16_t>(end + 4, "the end record") == 0 || has64(end), ErrorCode::unsupported,
               "{}: a zip archive of several disks", name_);
      if (has64(end)) return directory64(end);
      return {at<uint32_t>(end + 16, "the end record"), at<uint16_t>(end + 10, "the end record")};
    }
    raise(ErrorCode::bad_file,
          "{}: no zip directory at the end; the file is truncated or not a zip file", name_);
  }

  bool has64(uint64_t end) const {
    return end >= kLocator64Bytes && has(end - kLocator64Bytes, "PK\6\7");
  }
  Directory directory64(uint64_t end) const {
    const auto record = at<uint64_t>(end - kLocator64Bytes + 8, "the zip64 locator");
    LM_CHECK(record <= end && end - record >= kEnd64Bytes && has(record, "PK\6\6"),
             ErrorCode::bad_file, "{}: the zip64 end record is not at byte {}", name_, record);
    return {at<uint64_t>(record + 48, "the zip64 end record"),
            at<uint64_t>(record + 32, "the zip64 end record")};
  }

  // 64-bit sizes and offset of an entry, in the order of the fields that are all ones.
  void read_extra64(uint64_t begin, uint64_t size, std::initializer_list<uint64_t*> fields) const {
    for (uint64_t p = begin; p + 4 <= begin + size;) {
      const auto id = at<uint16_t>(p, "an extra field"), n = at<uint16_t>(p + 2, "an extra field");
      LM_CHECK(p + 4 + n <= begin + size, ErrorCode::bad_file,
               "{}: an extra field of {} bytes at byte {} leaves its entry", name_, n, p);
      uint64_t q = p + 4;
      if (id == 1)
        for (uint64_t* field : fields) {
          if (*field != 0xffffffffu || q + 8 > p + 4 + n) continue;
          *field = at<uint64_t>(q, "a zip64 field");
          q += 8;
        }
      p += 4 + n;
    }
  }

  void read_entry(uint64_t* position, std::vector<ZipEntry>* out) const {
    const uint64_t p = *position;
    LM_CHECK(has(p, "PK\1\2"), ErrorCode::bad_file, "{}: no zip directory entry at byte {}", name_,
             p);
    const auto flags = at<uint16_t>(p + 8, "an entry"), method = at<uint16_t>(p + 10, "an entry"),
               name_size = at<uint16_t>(p + 28, "an entry"),
               extra_size = at<uint16_t>(p + 30, "an entry"),
               comment_size = at<uint16_t>(p + 32, "an entry");
    uint64_t packed = at<uint32_t>(p + 20, "an entry"), size = at<uint32_t>(p + 24, "an entry"),
             local = at<uint32_t>(p + 42, "an entry");
    *position = p + kEntryBytes + name_size + extra_size + comment_size;
    LM_CHECK(*position <= bytes_.size(), ErrorCode::bad_file,
             "{}: the zip directory ends inside an entry", name_);
    const std::string member(reinterpret_cast<const char*>(bytes_.data()) + p + kEntryBytes,
                             name_size);
    read_extra64(p + kEntryBytes + name_size, extra_size, {&size, &packed, &local});
    if (member.ends_with('/')) return;
    LM_CHECK((flags & 1) == 0, ErrorCode::unsupported, "{}: member \"{}\" is encrypted", name_,
             member);
    LM_CHECK(method != 0 || packed == size, ErrorCode::bad_file,
             "{}: member \"{}\" has {} bytes, {} of them stored", name_, member, size, packed);
    LM_CHECK(has(local, "PK\3\4"), ErrorCode::bad_file,
             "{}: member \"{}\" has no local header at byte {}", name_, member, local);
    const uint64_t data = local + kLocalBytes + at<uint16_t>(local + 26, "a local header") +
                          at<uint16_t>(local + 28, "a local header");
    LM_CHECK(data <= bytes_.size() && packed <= bytes_.size() - data, ErrorCode::bad_file,
             "{}: member \"{}\" needs bytes {}..{}; the file has {}", name_, member, data,
             data + packed, bytes_.size());
    out->push_back({member, method, size, at<uint32_t>(p + 16, "an entry"),
                    bytes_.subspan(static_cast<size_t>(data), static_cast<size_t>(packed))});
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
};

}  // namespace

bool looks_like_zip(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && (std::memcmp(bytes.data(), "PK\3\4", 4) == 0 ||
                               std::memcmp(bytes.data(), "PK\5\6", 4) == 0);
}

std::vector<ZipEntry> parse_zip_entries(std::span<const std::byte> bytes, const std::string& name) {
  return Zip(bytes, name).entries();
}

ZipMembers parse_zip(std::span<const std::byte> bytes, const std::string& name) {
  ZipMembers out;
  for (const ZipEntry& e : parse_zip_entries(bytes, name)) {
    LM_CHECK(e.method == 0, ErrorCode::unsupported,
             "{}: member \"{}\" is compressed (method {}); checkpoints store their members", name,
             e.name, e.method);
    LM_CHECK(out.emplace(e.name, e.packed).second, ErrorCode::bad_file,
             "{}: member \"{}\" appears twice", name, e.name);
  }
  return out;
}

}  // namespace lm
