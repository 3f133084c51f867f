// The one error type of the project. Thrown by C++, seen in Lua as a table with the same fields.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace lm {

// What went wrong, as a closed list; names are append-only (they appear in Lua, JSON and exit
// codes).
enum class ErrorCode : uint8_t {
  bad_option,
  bad_shape,
  not_found,
  io,
  bad_file,
  unsupported,
  out_of_memory,
  interrupted,
  timeout,
  denied,
  network,
  internal,
};

// The code's spelling in Lua and JSON, e.g. "bad_file".
const char* error_code_name(ErrorCode code);
// The code for a spelling; `internal` for an unknown one.
ErrorCode error_code_from_name(const std::string& name);

// message: "<function>: <what, with values>; <what was expected>". hint: what to do next, or empty.
// where: the file or source line that the error is about, or empty.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {}, std::string where = {});
  ~Error() override;
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const std::string& where() const { return where_; }

 private:
  ErrorCode code_;
  std::string message_, hint_, where_;
};

// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void raise(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Checks a condition that input, a file or a caller can break; the message carries the values.
#define LM_CHECK(condition, code, ...) \
  do {                                 \
    if (!(condition)) [[unlikely]]     \
      ::lm::raise(code, __VA_ARGS__);  \
  } while (false)

}  // namespace lm
