#include "engine/serve/multipart.h"

#include <algorithm>

#include "engine/serve/api_error.h"
#include "engine/text/unicode.h"

namespace lm::serve {
namespace {

constexpr size_t kMostParts = 100;

[[noreturn]] void wrong(const char* what) {
  throw ApiError(400, std::string("the form: ") + what);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// The parameter `key` of a header such as: form-data; name="file"; filename="a.txt"
std::string parameter(std::string_view header, std::string_view key) {
  const std::string folded = lower(header);
  for (size_t at = 0; (at = folded.find(key, at)) != std::string::npos; at += key.size()) {
    const size_t value = at + key.size();
    const bool whole = at > 0 && (folded[at - 1] == ' ' || folded[at - 1] == ';');
    if (!whole || value >= header.size() || header[value] != '=') continue;
    std::string_view rest = header.substr(value + 1);
    if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find(';')));
    std::string out;
    for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
      out += rest[i];
    }
    return out;
  }
  return {};
}

FormPart read_part(std::string_view headers, std::string_view data) {
  FormPart part;
  part.data = data;
  while (!headers.empty()) {
    const size_t end = std::min(headers.find("\r\n"), headers.size());
    const std::string_view line = headers.substr(0, end);
    headers.remove_prefix(std::min(end + 2, headers.size()));
    if (!lower(line).starts_with("content-disposition:")) continue;
    part.name = parameter(line, "name");
    part.filename = replace_invalid_utf8(parameter(line, "filename"));
  }
  if (part.name.empty()) wrong("a part has no name");
  return part;
}

}  // namespace

std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type) {
  if (!lower(content_type).starts_with("multipart/form-data"))
    wrong("expected content-type: multipart/form-data");
  const std::string boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70) wrong("the content-type has no boundary");
  const std::string mark = "--" + boundary, next = "\r\n" + mark;
  if (!body.starts_with(mark)) wrong("it does not begin with its boundary");
  body.remove_prefix(mark.size());
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) wrong("a boundary is not followed by a line break");
    const size_t head = body.find("\r\n\r\n"), end = body.find(next);
    if (head == std::string_view::npos || end == std::string_view::npos || end < head + 2)
      wrong("it breaks off");
    const size_t data = head + 4;
    parts.push_back(read_part(body.substr(2, head - 2),
                              end >= data ? body.substr(data, end - data) : std::string_view()));
    if (parts.size() > kMostParts) wrong("too many parts");
    body.remove_prefix(end + next.size());
  }
  return parts;
}

}  // namespace lm::serve
