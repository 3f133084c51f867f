#include "engine/core/error.h"

#include <array>

namespace lm {
namespace {
constexpr std::array<const char*, 12> kNames = {
    "bad_option",    "bad_shape",   "not_found", "io",     "bad_file", "unsupported",
    "out_of_memory", "interrupted", "timeout",   "denied", "network",  "internal"};
}  // namespace

const char* error_code_name(ErrorCode code) {
  return kNames.at(static_cast<size_t>(code));
}

ErrorCode error_code_from_name(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<ErrorCode>(i);
  return ErrorCode::internal;
}

Error::Error(ErrorCode code, std::string message, std::string hint, std::string where)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)), where_(std::move(where)) {}

Error::~Error() = default;

}  // namespace lm
