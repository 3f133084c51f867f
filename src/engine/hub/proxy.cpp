// Proxies from the environment, by the conventions of curl: https_proxy, http_proxy, no_proxy.
#include <cstdlib>
#include <string>

#include "engine/hub/http_session.h"

namespace lm {
namespace {

std::string either(const char* lower, const char* upper) {
  for (const char* name : {lower, upper})
    if (const char* value = std::getenv(name); value && *value) return value;
  return "";
}

// NO_PROXY: host names and suffixes between commas; "*" means all.
bool is_excluded(const std::string& host) {
  const std::string list = either("no_proxy", "NO_PROXY");
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    std::string entry = list.substr(begin, end - begin);
    std::erase(entry, ' ');
    begin = end + 1;
    if (entry == "*" || entry == host) return true;
    if (entry.starts_with("*")) entry.erase(0, 1);
    if (entry.empty()) continue;
    if (entry.starts_with(".")) entry.erase(0, 1);
    if (host == entry || host.ends_with(fmt::format(".{}", entry))) return true;
  }
  return false;
}

}  // namespace

std::optional<Url> proxy_for(const Url& url, std::string* user, std::string* password) {
  // HTTP_PROXY in capitals may come from a request's headers in CGI programs; curl ignores it too.
  std::string text = url.origin.scheme == "https" ? either("https_proxy", "HTTPS_PROXY")
                                                  : either("http_proxy", "http_proxy");
  if (text.empty()) text = either("all_proxy", "ALL_PROXY");
  if (text.empty() || is_excluded(url.origin.host)) return std::nullopt;
  if (text.find("://") == std::string::npos) text = fmt::format("http://{}", text);
  const size_t begin = text.find("://") + 3, at = text.rfind('@');
  if (at != std::string::npos && at > begin) {
    const std::string login = text.substr(begin, at - begin);
    const size_t colon = login.find(':');
    *user = login.substr(0, colon);
    if (colon != std::string::npos) *password = login.substr(colon + 1);
    text.erase(begin, at + 1 - begin);
  }
  Url proxy = parse_url(text);
  LM_CHECK(proxy.origin.scheme == "http", ErrorCode::unsupported,
           "the proxy {} cannot be used; expected http://host:port", proxy.origin_text());
  return proxy;
}

}  // namespace lm
