// Reads JSON text from front to back without building a tree: for the vocabularies and merge lists
// that make up nearly all of a tokenizer.json. Mistakes throw Error{bad_file} with the position.
// Internal to engine/text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lm {

class JsonReader {
 public:
  // `text` must outlive the reader; `name` is used in messages.
  JsonReader(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  // First character of the next value: { [ " t f n - or a digit.
  char peek();
  // {"key": value, ...}: begin_object, then next_key and one value read until next_key says false.
  void begin_object() { expect('{'), first_ = true; }
  bool next_key(std::string_view* key);
  // [value, ...]: begin_array, then next_element and one value read until next_element says false.
  void begin_array() { expect('['), first_ = true; }
  bool next_element();

  // The text of a string, as UTF-8; valid until the next read_string or next_key.
  std::string_view read_string();
  double read_number();
  int64_t read_integer();
  // Skips a value and returns its text, unchecked but for brackets and quotes.
  std::string_view skip_value();
  // Nothing but white space may follow.
  void end();

 private:
  [[noreturn]] void fail(const char* expected) const;
  void skip_space();
  void expect(char c);
  bool next(char end);
  std::string_view unescape(size_t begin);
  uint32_t read_hex4();

  std::string_view text_;
  std::string name_, unescaped_;
  size_t at_ = 0;
  bool first_ = false;  // no comma before the next member
};

}  // namespace lm
