// GGUF models as Hugging Face folders: config.json, safetensors, tokenizer files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/export/hf_family.h"
#include "engine/formats/gguf.h"
#include "engine/formats/tensor_output.h"
#include "engine/models/arch.h"
#include "engine/quant/file_type.h"

namespace lm {

// Writes the model of `file` to `folder`, made if it is not there. type: f32, f16 or bf16 for all
// weights; none: what most of them have, f16 where they are quantised. Vectors that the type would
// change stay f32. Returns the files, weights first; counts: tensors of each type. Throws
// unsupported (families and tokenizers that cannot be written), bad_option (a quantised type), io.
std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& file,
                                         std::optional<FileType> type, const std::string& folder,
                                         const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts);
// The same for tensors, under GGUF's names, that are not in the file of the metadata.
std::vector<std::string> write_hf_folder(const std::shared_ptr<const GgufFile>& metadata,
                                         TensorMap tensors, std::optional<FileType> type,
                                         const std::string& folder, const WriteOptions& options,
                                         std::vector<std::pair<DType, int64_t>>* counts);

// The parts of it.
std::string hf_config_json(const HfFamily& family, const ModelConfig& config, const ModelSpec& spec,
                           const TensorMap& tensors, DType dtype);
// config.json's rope_scaling, as JSON; empty: plain rotation.
std::string hf_rope_scaling(const ModelConfig& config, const AttentionSpec& attention,
                            const TensorMap& tensors);
// modules.json and what it names, with which sentence-transformers makes vectors of texts, for
// models that embed; returns the paths written.
std::vector<std::string> write_sentence_files(const ModelSpec& spec, const std::string& folder);
// tokenizer.json, tokenizer_config.json and generation_config.json from the tokenizer.* keys;
// returns the paths written. A file without tokenizer gives none.
std::vector<std::string> write_tokenizer_files(const GgufFile& file, const std::string& folder);

}  // namespace lm
