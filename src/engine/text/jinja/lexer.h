// Cuts a template into text, tags and the tokens inside of tags, applying white space control on
// the way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lm::jinja {

enum class TokenType : uint8_t {
  text,            // outside of tags
  variable_begin,  // {{
  variable_end,
  block_begin,  // {%
  block_end,
  name,
  string,
  integer,
  number,
  op,  // text holds the operator
  end,
};

struct Token {
  TokenType type;
  std::string text;
  int line;
};

// Source of the rules: jinja2 lexer.py with trim_blocks and lstrip_blocks. Throws
// Error{unsupported} with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace lm::jinja
