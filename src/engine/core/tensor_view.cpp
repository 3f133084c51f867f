#include "engine/core/tensor_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lm {

std::string shape_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace lm
