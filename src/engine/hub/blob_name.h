// Hashes and entity tags that become names of files in the cache.
#pragma once

#include <string_view>

namespace lm {

// `digits` lower-case hexadecimal digits.
bool is_hex(std::string_view text, size_t digits);
// A hash, or another entity tag of letters, digits, "-", "_" and "." that does not begin with ".".
bool is_blob_name(std::string_view text);

}  // namespace lm
