// Zip files, as views. Source: PKWARE APPNOTE.TXT, zip64 included.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/formats/checkpoint.h"

namespace lm {

struct ZipEntry {
  std::string name;   // as the file has it: not yet safe as a path
  int method = 0;     // 0 stored, 8 deflated
  uint64_t size = 0;  // unpacked
  uint32_t crc32 = 0;
  std::span<const std::byte> packed;
};

using ZipMembers =
    std::unordered_map<std::string, std::span<const std::byte>, StringHash, std::equal_to<>>;

// Every offset and length is checked against the bytes, each local header against the directory.
// Throws bad_file; unsupported for encrypted and multi-disk files. Folders are left out.
std::vector<ZipEntry> parse_zip_entries(std::span<const std::byte> bytes, const std::string& name);
// The members of a file that stores all of them without compression; unsupported otherwise.
ZipMembers parse_zip(std::span<const std::byte> bytes, const std::string& name);

// Calls `sink` with the member's content, a piece at a time. Throws bad_file (damaged, another size
// or CRC-32 than the directory says), unsupported (the method).
void unpack_zip_entry(const ZipEntry& entry, const std::string& name,
                      const std::function<void(std::string_view)>& sink);

}  // namespace lm
