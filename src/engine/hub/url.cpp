#include "engine/hub/url.h"

#include <algorithm>
#include <charconv>

#include "engine/api/hub.h"
#include "engine/core/error.h"
#include "engine/text/unicode.h"

namespace lm {
namespace {

constexpr size_t kMaxUrl = 16384, kMaxPath = 2048, kMaxPart = 255;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string percent(char c) {
  return fmt::format("%{:02X}", static_cast<unsigned char>(c));
}

// Leaves what is encoded already.
std::string clean_target(std::string_view text) {
  text = text.substr(0, text.find('#'));
  std::string out = text.starts_with('/') ? "" : "/";
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80 || c == ' ' || c == '"' || c == '<' || c == '>')
      out += percent(c);
    else
      out += c;
  return out;
}

int parse_port(std::string_view text, std::string_view whole) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  LM_CHECK(error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536,
           ErrorCode::bad_option, "\"{}\": the port is \"{}\"; expected 1 to 65535", whole, text);
  return port;
}

HttpOrigin parse_origin(std::string_view scheme, std::string_view authority,
                        std::string_view whole) {
  LM_CHECK(authority.find('@') == std::string_view::npos, ErrorCode::bad_option,
           "\"{}\": addresses with a user name are not taken", whole);
  HttpOrigin origin{std::string(scheme), {}, scheme == "https" ? 443 : 80};
  size_t end = authority.find(':');
  if (authority.starts_with('[')) {
    end = authority.find(']');
    LM_CHECK(end != std::string_view::npos, ErrorCode::bad_option, "\"{}\": the host has no \"]\"",
             whole);
    origin.host = authority.substr(1, end - 1);
    ++end;
  } else {
    origin.host = authority.substr(0, end);
  }
  if (end < authority.size()) {
    LM_CHECK(authority[end] == ':', ErrorCode::bad_option, "\"{}\": bad host", whole);
    if (end + 1 < authority.size()) origin.port = parse_port(authority.substr(end + 1), whole);
  }
  const bool is_ipv6 = authority.starts_with('[');
  const auto allowed = [&](char c) {
    return is_alnum(c) || c == '.' || (is_ipv6 ? c == ':' : c == '-' || c == '_');
  };
  LM_CHECK(!origin.host.empty() && std::all_of(origin.host.begin(), origin.host.end(), allowed),
           ErrorCode::bad_option, "\"{}\": bad host \"{}\"", whole, origin.host);
  return origin;
}

}  // namespace

std::string Url::origin_text() const {
  const bool is_ipv6 = origin.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? "[" + origin.host + "]" : origin.host;
  if (origin.port == (origin.scheme == "https" ? 443 : 80)) return origin.scheme + "://" + host;
  return fmt::format("{}://{}:{}", origin.scheme, host, origin.port);
}

Url parse_url(std::string_view text) {
  LM_CHECK(text.size() <= kMaxUrl && std::none_of(text.begin(), text.end(), is_control),
           ErrorCode::bad_option,
           "an address of {} bytes; expected at most {}, without control characters", text.size(),
           kMaxUrl);
  const size_t colon = text.find("://");
  std::string scheme(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  for (char& c : scheme)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  LM_CHECK(scheme == "http" || scheme == "https", ErrorCode::bad_option,
           "\"{}\" is no address; expected https://host/path", text);
  const std::string_view rest = text.substr(colon + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  return {parse_origin(scheme, rest.substr(0, end), text), clean_target(rest.substr(end))};
}

Url resolve_url(const Url& base, std::string_view location) {
  if (location.starts_with("//"))
    return parse_url(base.origin.scheme + ":" + std::string(location));
  if (location.starts_with('/')) return parse_url(base.origin_text() + std::string(location));
  if (location.substr(0, location.find_first_of("/?#")).find(':') != std::string_view::npos)
    return parse_url(location);
  const std::string path = base.target.substr(0, base.target.find('?'));
  return parse_url(base.origin_text() + path.substr(0, path.rfind('/') + 1) +
                   std::string(location));
}

std::string encode_url(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
    out += plain || (keep_slashes && c == '/') ? std::string(1, c) : percent(c);
  }
  return out;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath || !is_valid_utf8(path)) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    for (const char c : part)
      if (is_control(c) || c == '\\') return false;
    begin = end + 1;
  }
  return true;
}

std::string_view HttpReply::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

}  // namespace lm
