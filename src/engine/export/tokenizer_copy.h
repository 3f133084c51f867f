// Tokenizer files from one model to another. Internal to export.
#pragma once

#include <string>

namespace lm {

// Writes the files of a tokenizer to a folder. from: a tokenizer.json, a folder, or a .gguf file. A
// tokenizer.json alone gets a tokenizer_config.json that names the first of the usual end-of-text
// tokens among its special ones. Throws not_found, io, bad_file, unsupported.
void copy_tokenizer(const std::string& from, const std::string& folder);

}  // namespace lm
