// What is wrong with a request, and how each dialect says it.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "engine/api/http_server.h"
#include "engine/core/error.h"

namespace lm::serve {

enum class Dialect : uint8_t { openai, anthropic, ollama };

// param: the field that is wrong, or ""; code: a word for programs ("model_not_found"), or "".
class ApiError : public std::exception {
 public:
  ApiError(int status, std::string message, std::string param = {}, std::string code = {})
      : status_(status),
        message_(std::move(message)),
        param_(std::move(param)),
        code_(std::move(code)) {}
  // The answer to an error of the engine; those of options are the client's.
  explicit ApiError(const Error& error);
  const char* what() const noexcept override { return message_.c_str(); }
  int status() const { return status_; }
  const std::string& message() const { return message_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }

 private:
  int status_;
  std::string message_, param_, code_;
};

// The body of the answer: OpenAI's {"error": {message, type, param, code}}, Anthropic's {"type":
// "error", "error": {type, message}, "request_id"}, Ollama's {"error": text}.
std::string error_body(Dialect dialect, const ApiError& error, const std::string& request_id);
// Anthropic knows some errors by other numbers.
int error_status(Dialect dialect, const ApiError& error);
// The dialect that the clients of a path speak.
Dialect dialect_of(const std::string& path);

}  // namespace lm::serve
