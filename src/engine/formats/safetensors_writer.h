// Writes safetensors files: one, or shards with an index as Hugging Face folders have them.
// Streaming, like the GGUF writer.
#pragma once

#include <string>
#include <vector>

#include "engine/formats/tensor_output.h"

namespace lm {

// Writes folder/<stem>.safetensors, or, when the tensors exceed max_file_bytes,
// <stem>-00001-of-0000N.safetensors ... and <stem>.safetensors.index.json; returns the names. Files
// get their names when all of them are complete, the index last. The header says {"format": "pt"},
// which transformers asks for. Throws bad_option (names that appear twice, dtypes the format does
// not have), io, and what write() throws.
std::vector<std::string> write_safetensors(const std::string& folder, const std::string& stem,
                                           const std::vector<OutputTensor>& tensors,
                                           const WriteOptions& options = {});

}  // namespace lm
