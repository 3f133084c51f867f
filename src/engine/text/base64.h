// Base64 (RFC 4648), as tokenizer files use it.
#pragma once

#include <string>
#include <string_view>

namespace lm {

// Throws bad_file for characters outside of the alphabet and for wrong padding.
std::string decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);
// Appends the bytes to `out` instead; false for a wrong text.
bool append_base64(std::string& out, std::string_view text);

}  // namespace lm
