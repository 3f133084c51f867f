// The weights of a Hugging Face folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/export/export_tensor.h"
#include "engine/formats/tensor_output.h"
#include "engine/quant/file_type.h"

namespace lm {

// f32, f16 or bf16. Throws bad_option for other types, which folders cannot hold.
DType hf_weight_type(FileType type);

// The types that tensors get. Whole numbers and f8 stay in any case.
struct HfTypes {
  // For matrices, and for vectors where that changes no value; those become f32 else.
  std::optional<DType> wish;
  // Without a wish: the same, but matrices of f32 stay where a value would change. Without both
  // everything stays.
  std::optional<DType> usual;
};

// model.safetensors in `folder`, or its shards with their index; returns the paths written.
// counts: tensors of each type.
std::vector<std::string> write_hf_weights(const std::vector<ExportTensor>& tensors,
                                          const HfTypes& types, const std::string& folder,
                                          const WriteOptions& options,
                                          std::vector<std::pair<DType, int64_t>>* counts);

}  // namespace lm
