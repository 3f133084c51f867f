// Forms with files (multipart/form-data, RFC 7578).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lm::serve {

struct FormPart {
  std::string name, filename;
  std::string_view data;  // in the body
};

// The parts of a body; content_type is the header. Throws ApiError 400.
std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type);

}  // namespace lm::serve
