// Endpoint, token and folders, by the rules of huggingface_hub (its page "Environment variables").
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "engine/api/hub.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/hub/url.h"

namespace lm {
namespace {

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_true(std::string value) {
  for (char& c : value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// "~" and "~/..." at the front, "$NAME" and "${NAME}" of set variables anywhere.
std::string expand(const std::string& path) {
  std::string out;
  size_t i = 0;
  if (path == "~" || path.starts_with("~/")) {
    out = env("HOME");
    i = 1;
  }
  while (i < path.size()) {
    const bool braces = path.compare(i, 2, "${") == 0;
    size_t end = i + (braces ? 2 : 1);
    while (path[i] == '$' && end < path.size() &&
           (std::isalnum(static_cast<unsigned char>(path[end])) || path[end] == '_'))
      ++end;
    const std::string name = path.substr(i + (braces ? 2 : 1), end - i - (braces ? 2 : 1));
    const char* value = path[i] == '$' && !name.empty() ? std::getenv(name.c_str()) : nullptr;
    if (!value || (braces && path[end] != '}')) {
      out += path[i++];
      continue;
    }
    out += value;
    i = end + (braces ? 1 : 0);
  }
  return out;
}

std::string home() {
  if (const std::string own = env("HF_HOME"); !own.empty()) return expand(own);
  const std::string cache = env("XDG_CACHE_HOME");
  return (cache.empty() ? env("HOME") + "/.cache" : expand(cache)) + "/huggingface";
}

std::string token() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const std::string value = trim(env(name)); !value.empty()) return value;
  if (is_true(env("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return "";
  const std::string own = env("HF_TOKEN_PATH"),
                    path = own.empty() ? home() + "/token" : expand(own);
  std::error_code none;
  return std::filesystem::is_regular_file(path, none) ? trim(read_file(path, 1 << 16)) : "";
}

std::string cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string value = env(name); !value.empty()) return expand(value);
  return home() + "/hub";
}

}  // namespace

HubSettings hub_settings() {
  HubSettings s;
  s.endpoint = trim(env("HF_ENDPOINT"));
  if (s.endpoint.empty()) s.endpoint = "https://huggingface.co";
  while (s.endpoint.ends_with('/')) s.endpoint.pop_back();
  try {
    parse_url(s.endpoint);
  } catch (const Error& e) {
    raise(ErrorCode::bad_option, "HF_ENDPOINT: {}", e.message());
  }
  s.token = token();
  for (const char c : s.token)
    LM_CHECK(c > 0x20 && c < 0x7f, ErrorCode::bad_option,
             "the token in HF_TOKEN or the token file holds a space or control character");
  s.cache = cache();
  const std::string offline = env("HF_HUB_OFFLINE");
  s.offline = is_true(offline.empty() ? env("TRANSFORMERS_OFFLINE") : offline);
  const double timeout = std::atof(env("HF_HUB_DOWNLOAD_TIMEOUT").c_str());
  if (timeout >= 1 && timeout <= 3600) s.read_timeout_s = timeout;
  return s;
}

}  // namespace lm
