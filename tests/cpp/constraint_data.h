// The shared JSON Schema data: MaskBench (guidance-ai/jsonschemabench) and the
// JSON-Schema-Test-Suite.
#pragma once

#include <zlib.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace lm_test {

// Calls each(row) for the lines of a .jsonl.gz file.
inline void each_row(const std::string& path,
                     const std::function<void(const nlohmann::ordered_json&)>& each) {
  gzFile file = ::gzopen(path.c_str(), "rb");
  std::string text;
  std::vector<char> buffer(1 << 16);
  for (int n = 0; file != nullptr && (n = ::gzread(file, buffer.data(), 1 << 16)) > 0;)
    text.append(buffer.data(), static_cast<size_t>(n));
  if (file != nullptr) ::gzclose(file);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) each(nlohmann::ordered_json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
}

// As Python's json.dumps(ensure_ascii=False) writes it, which is what MaskBench feeds.
inline std::string dumps(const nlohmann::ordered_json& value) {
  if (!value.is_structured()) return value.dump();
  std::string out(1, value.is_array() ? '[' : '{');
  bool first = true;
  for (const auto& [name, member] : value.items()) {
    if (!first) out += ", ";
    if (value.is_object()) out += nlohmann::ordered_json(name).dump() + ": ";
    out += dumps(member);
    first = false;
  }
  return out + (value.is_array() ? ']' : '}');
}

}  // namespace lm_test
