// The members of a zip file that are stored without compression, as views. Source: PKWARE
// APPNOTE.TXT, zip64 included.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/formats/checkpoint.h"

namespace lm {

using ZipMembers =
    std::unordered_map<std::string, std::span<const std::byte>, StringHash, std::equal_to<>>;

// Every offset and length is checked against the bytes, each local header against the directory.
// Throws bad_file; unsupported for compressed, encrypted and multi-disk files. Folders are left
// out.
ZipMembers parse_zip(std::span<const std::byte> bytes, const std::string& name);

}  // namespace lm
