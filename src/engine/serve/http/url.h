// Percent-encoding and the parts of a request target (RFC 3986, RFC 9112 section 3.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lm::http {

// Decodes %XX; with `plus`, + is a space (form encoding). Nothing for malformed escapes, zero bytes
// and what is not UTF-8 afterwards.
std::optional<std::string> percent_decode(std::string_view text, bool plus = false);

// The host of a Host header or of an origin, in lower case, without port and brackets; nothing
// when it is malformed.
std::optional<std::string> host_of(std::string_view authority);

// Whether the text is an IPv4 or IPv6 address.
bool is_address(const std::string& host);

// Whether a web page of `origin` ("https://example.com:8080") was served by `authority`, the value
// of the Host header.
bool same_origin(std::string_view origin, std::string_view authority, bool tls);

}  // namespace lm::http
