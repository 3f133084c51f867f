// Small GGUF files for tests: metadata only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lm_test {

class GgufBuilder {
 public:
  GgufBuilder& text(const std::string& key, const std::string& value) {
    return add(key, number<uint32_t>(8) + string(value));
  }
  GgufBuilder& u32(const std::string& key, uint32_t value) {
    return add(key, number<uint32_t>(4) + number(value));
  }
  GgufBuilder& boolean(const std::string& key, bool value) {
    return add(key, number<uint32_t>(7) + std::string(1, value ? '\1' : '\0'));
  }
  GgufBuilder& texts(const std::string& key, const std::vector<std::string>& values) {
    std::string out = array(8, values.size());
    for (const std::string& v : values) out += string(v);
    return add(key, out);
  }
  GgufBuilder& ints(const std::string& key, const std::vector<int32_t>& values) {
    std::string out = array(5, values.size());
    for (const int32_t v : values) out += number(v);
    return add(key, out);
  }
  GgufBuilder& floats(const std::string& key, const std::vector<float>& values) {
    std::string out = array(6, values.size());
    for (const float v : values) out += number(v);
    return add(key, out);
  }
  GgufBuilder& u8s(const std::string& key, const std::string& values) {
    return add(key, array(0, values.size()) + values);
  }
  std::string bytes() const {
    return "GGUF" + number<uint32_t>(3) + number<uint64_t>(0) + number<uint64_t>(count_) + body_;
  }

 private:
  template <typename T>
  static std::string number(T v) {
    return std::string(reinterpret_cast<const char*>(&v), sizeof v);
  }
  static std::string string(const std::string& s) { return number<uint64_t>(s.size()) + s; }
  static std::string array(uint32_t type, size_t n) {
    return number<uint32_t>(9) + number(type) + number<uint64_t>(n);
  }
  GgufBuilder& add(const std::string& key, const std::string& value) {
    body_ += string(key) + value;
    ++count_;
    return *this;
  }
  std::string body_;
  uint64_t count_ = 0;
};

}  // namespace lm_test
