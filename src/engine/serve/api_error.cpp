#include "engine/serve/api_error.h"

#include <nlohmann/json.hpp>

#include "engine/serve/json.h"

namespace lm::serve {
namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_option:
    case ErrorCode::bad_shape:
    case ErrorCode::bad_file:
    case ErrorCode::unsupported:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::denied:
      return 403;
    case ErrorCode::out_of_memory:
      return 503;
    case ErrorCode::interrupted:
      return 499;
    case ErrorCode::timeout:
      return 504;
    case ErrorCode::network:
      return 502;
    default:
      return 500;
  }
}

const char* openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

const char* anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

ApiError::ApiError(const Error& error)
    : status_(status_of(error.code())), message_(error.message()) {
  if (!error.hint().empty()) message_ += " (" + error.hint() + ")";
}

std::string error_body(Dialect dialect, const ApiError& error, const std::string& request_id) {
  switch (dialect) {
    case Dialect::anthropic:
      return dump(
          Json{{"type", "error"},
               {"error", {{"type", anthropic_type(error.status())}, {"message", error.message()}}},
               {"request_id", request_id}});
    case Dialect::ollama:
      return dump(Json{{"error", error.message()}});
    default:
      return dump(Json{{"error",
                        {{"message", error.message()},
                         {"type", openai_type(error.status())},
                         {"param", text_or_null(error.param())},
                         {"code", text_or_null(error.code())}}}});
  }
}

int error_status(Dialect dialect, const ApiError& error) {
  return dialect == Dialect::anthropic && error.status() == 503 ? 529 : error.status();
}

Dialect dialect_of(const std::string& path) {
  if (path.starts_with("/v1/messages")) return Dialect::anthropic;
  if (path.starts_with("/api/")) return Dialect::ollama;
  return Dialect::openai;
}

}  // namespace lm::serve
