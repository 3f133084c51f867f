// Addresses of the web (RFC 3986, the parts that HTTP needs).
#pragma once

#include <string>
#include <string_view>

#include "engine/api/net.h"

namespace lm {

struct Url {
  HttpOrigin origin;
  std::string target;  // path and query, encoded; begins with '/'

  std::string origin_text() const;  // "https://host" or "http://host:8080"
  std::string text() const { return origin_text() + target; }
  bool same_origin(const Url& other) const { return origin_text() == other.origin_text(); }
};

// An absolute http or https address. Bytes that an address may not hold are percent-encoded, a
// fragment is cut off. Throws bad_option: no such scheme, user names, control characters, a bad
// host or port.
Url parse_url(std::string_view text);
// A Location header seen in an answer from `base`: absolute, "//host/path", "/path" or "path".
Url resolve_url(const Url& base, std::string_view location);
// Percent-encodes all but letters, digits and "-._~", and "/" when `keep_slashes`.
std::string encode_url(std::string_view text, bool keep_slashes);

}  // namespace lm
