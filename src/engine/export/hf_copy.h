// Hugging Face folders as Hugging Face folders: other weight types, other shards, safetensors
// instead of .bin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/formats/checkpoint.h"
#include "engine/formats/tensor_output.h"
#include "engine/quant/file_type.h"

namespace lm {

// Writes the model of the folder `from` to `folder`: weights under the names they have, config.json
// with the type, and every other file that is no weight. type: f32, f16 or bf16; none: as they are.
// Returns the files, weights first; counts: tensors of each type. Throws not_found, io, bad_file,
// bad_option. changed: tensors under GGUF's names, in the folder's layout, to write instead of the
// folder's own; may be null.
std::vector<std::string> copy_hf_folder(const std::string& from, std::optional<FileType> type,
                                        const std::string& folder, const WriteOptions& options,
                                        std::vector<std::pair<DType, int64_t>>* counts,
                                        const TensorMap* changed = nullptr);

}  // namespace lm
