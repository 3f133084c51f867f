// File types: which type each tensor of a quantised GGUF file gets. The choices are
// llama-quantize's, without importance matrix (llama.cpp, src/llama-quant.cpp): the output matrix
// and some layers of attn_v and ffn_down get more bits; rows that are not whole blocks fall back to
// a type with smaller blocks; vectors, norms, routers and position tables stay as they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/dtype.h"
#include "engine/core/tensor_view.h"

namespace lm {

enum class FileType : uint8_t {
#define LM_FILE_TYPE(name, number, dtype) name,
#include "engine/quant/file_type_list.inc"
#undef LM_FILE_TYPE
};

struct FileTypeInfo {
  const char* name;
  int gguf_number;  // general.file_type
  DType dtype;
};

const FileTypeInfo& file_type_info(FileType type);
// By name, in any case ("Q4_K_M"). Throws bad_option listing the names.
FileType file_type_from_name(std::string_view name);
std::vector<const char*> file_type_names();

// What the choice depends on besides names and shapes.
struct FileTypeModel {
  std::string architecture;  // GGUF's
  int64_t n_layers = 0, n_experts = 0, n_heads = 0, n_kv_heads = 0;
};

struct TensorInfo {
  std::string name;  // GGUF's
  Shape shape;       // row-major
  DType dtype{};     // as it is now; kept where the tensor is not quantised
};

// The order of tensors in files that llama-quantize writes: tensors without layer, then layer by
// layer, each by name.
bool gguf_tensor_order(std::string_view a, std::string_view b);

// Whether quantising leaves a tensor alone: vectors, norms, routers, position tables and other
// small ones.
bool keeps_type(const TensorInfo& tensor);

// One type for each tensor; `tensors` must be in gguf_tensor_order. Vectors that are f16 or bf16
// stay so: the caller widens them where it must.
std::vector<DType> choose_types(FileType type, const FileTypeModel& model,
                                const std::vector<TensorInfo>& tensors);

}  // namespace lm
