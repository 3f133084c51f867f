// A model as a GGUF file describes it, before it is one: metadata and tensors under GGUF's names.
// What readers of other formats make, and what the writer takes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/export/export_tensor.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf_writer.h"
#include "engine/quant/file_type.h"

namespace lm {

struct GgufModel {
  GgufMetadata metadata;
  std::vector<ExportTensor> tensors;
  FileTypeModel model;
  std::vector<std::shared_ptr<MappedFile>> files;  // the bytes that the tensors read
};

// The model of an open file, everything as it is.
GgufModel gguf_model(const GgufFile& file);

// Writes the model; `type` empty: every tensor as it is. Sets general.file_type and
// general.quantization_version, and sorts the tensors as llama-quantize does. Returns the files'
// names; counts, when given, the tensors of each type.
std::vector<std::string> write_gguf_model(GgufModel model, std::optional<FileType> type,
                                          const std::string& path, const GgufWriteOptions& options,
                                          std::vector<std::pair<DType, int64_t>>* counts = nullptr);

}  // namespace lm
