#include "engine/core/dtype.h"

#include <iterator>

namespace lm {
namespace {
constexpr DTypeInfo kInfo[] = {
#define LM_DTYPE(name, block, bytes, ggml) {#name, block, bytes, ggml},
#include "engine/core/dtype_list.inc"
#undef LM_DTYPE
};
}  // namespace

const DTypeInfo& dtype_info(DType type) {
  return kInfo[static_cast<size_t>(type)];
}

int n_dtypes() {
  return static_cast<int>(std::size(kInfo));
}

bool dtype_from_ggml(uint32_t id, DType* out) {
  for (size_t i = 0; i < std::size(kInfo); ++i)
    if (kInfo[i].ggml_id >= 0 && static_cast<uint32_t>(kInfo[i].ggml_id) == id) {
      *out = static_cast<DType>(i);
      return true;
    }
  return false;
}

bool dtype_from_name(std::string_view name, DType* out) {
  for (size_t i = 0; i < std::size(kInfo); ++i)
    if (name == kInfo[i].name) {
      *out = static_cast<DType>(i);
      return true;
    }
  return false;
}

}  // namespace lm
