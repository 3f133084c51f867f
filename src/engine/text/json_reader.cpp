#include "engine/text/json_reader.h"

#include <algorithm>
#include <charconv>

#include "engine/core/error.h"
#include "engine/text/unicode.h"

namespace lm {

void JsonReader::fail(const char* expected) const {
  raise(ErrorCode::bad_file, "load: {} at byte {}: expected {}", name_, at_, expected);
}

void JsonReader::skip_space() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    ++at_;
}

char JsonReader::peek() {
  skip_space();
  if (at_ == text_.size()) fail("a value, not the end of the text");
  return text_[at_];
}

void JsonReader::expect(char c) {
  if (peek() != c) {
    const char what[] = {'\'', c, '\'', 0};
    fail(what);
  }
  ++at_;
}

bool JsonReader::next(char end) {
  const char c = peek();
  if (c == end) {
    ++at_;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (c != ',') fail("a comma or the end of the list");
    ++at_;
  }
  first_ = false;
  return true;
}

bool JsonReader::next_element() {
  return next(']');
}

bool JsonReader::next_key(std::string_view* key) {
  if (!next('}')) return false;
  *key = read_string();
  expect(':');
  return true;
}

std::string_view JsonReader::read_string() {
  expect('"');
  const size_t begin = at_;
  bool ascii = true;
  for (; at_ < text_.size(); ++at_) {
    const auto c = static_cast<uint8_t>(text_[at_]);
    if (c == '"') {
      const std::string_view s = text_.substr(begin, at_ - begin);
      ++at_;
      if (!ascii && !is_valid_utf8(s)) fail("well-formed UTF-8");
      return s;
    }
    if (c == '\\') return unescape(begin);
    if (c < 0x20) fail("no control character in a string");
    ascii = ascii && c < 0x80;
  }
  fail("the end of a string");
}

uint32_t JsonReader::read_hex4() {
  uint32_t value = 0;
  if (text_.size() - at_ < 4) fail("four hexadecimal digits");
  const char* end = text_.data() + at_ + 4;
  if (std::from_chars(text_.data() + at_, end, value, 16).ptr != end)
    fail("four hexadecimal digits");
  at_ += 4;
  return value;
}

// From the first backslash on, into a buffer.
std::string_view JsonReader::unescape(size_t begin) {
  unescaped_.assign(text_.substr(begin, at_ - begin));
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') {
      if (!is_valid_utf8(unescaped_)) fail("well-formed UTF-8");
      return unescaped_;
    }
    if (static_cast<uint8_t>(c) < 0x20) fail("no control character in a string");
    if (c != '\\') {
      unescaped_ += c;
      continue;
    }
    if (at_ == text_.size()) break;
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const char name = text_[at_++];
    if (const size_t i = kNames.find(name); i != kNames.npos) {
      unescaped_ += kValues[i];
      continue;
    }
    if (name != 'u') fail("a known escape");
    char32_t value = read_hex4();
    if (value >= 0xD800 && value < 0xDC00) {
      if (text_.substr(at_, 2) != "\\u") fail("a low surrogate");
      at_ += 2;
      const uint32_t low = read_hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("a low surrogate");
      value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(unescaped_, value);
  }
  fail("the end of a string");
}

double JsonReader::read_number() {
  const char c = peek();
  if (c != '-' && (c < '0' || c > '9')) fail("a number");
  double value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (error != std::errc()) fail("a number");
  at_ = static_cast<size_t>(end - text_.data());
  return value;
}

int64_t JsonReader::read_integer() {
  peek();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  const auto after = static_cast<size_t>(end - text_.data());
  if (error != std::errc() ||
      (after < text_.size() && (text_[after] == '.' || text_[after] == 'e')))
    fail("an integer");
  at_ = after;
  return value;
}

std::string_view JsonReader::skip_value() {
  peek();
  const size_t begin = at_;
  size_t depth = 0;
  do {
    const char c = peek();
    if (c == '"') {
      const char* p = text_.data() + at_ + 1;
      const char* const end = text_.data() + text_.size();
      while (p < end && *p != '"') p += *p == '\\' ? 2 : 1;
      at_ = static_cast<size_t>(std::min(p, end) - text_.data());
      if (at_ >= text_.size()) fail("the end of a string");
      ++at_;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth == 0) fail("a value");
      --depth;
      ++at_;
    } else if (c == ',' || c == ':') {
      if (depth == 0) fail("a value");
      ++at_;
    } else {
      const size_t end = text_.find_first_of(",:]}[{\" \n\r\t", at_);
      at_ = end == text_.npos ? text_.size() : end;
    }
  } while (depth > 0);
  return text_.substr(begin, at_ - begin);
}

void JsonReader::end() {
  skip_space();
  if (at_ != text_.size()) fail("the end of the text");
}

}  // namespace lm
