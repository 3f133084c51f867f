#include "runtime/lua_highlight.h"

#include <algorithm>
#include <array>

namespace lm {
namespace {

constexpr std::array<std::string_view, 19> kKeywords = {
    "and", "break", "do",  "else", "elseif", "end",    "for",  "function", "goto", "if",
    "in",  "local", "not", "or",   "repeat", "return", "then", "until",    "while"};
constexpr std::array<std::string_view, 3> kConstants = {"false", "nil", "true"};

bool is_name_start(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return is_name_start(c) || is_digit(c);
}

// Walks the text token by token and fills the styles.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), styles_(text.size(), Style::plain) {}

  std::vector<Style> run() {
    if (!text_.empty() &&
        (text_[0] == '?' || text_[0] == '$' || (text_[0] == ':' && !text_.starts_with("::")))) {
      fill(text_.find_first_of(" \t\n"), Style::command);
      if (styles_.size() > i_ && text_[0] != ':') return std::move(styles_);
    }
    while (i_ < text_.size()) token();
    return std::move(styles_);
  }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  void fill(size_t end, Style style) {
    end = std::min(end, text_.size());
    std::fill(styles_.begin() + static_cast<std::ptrdiff_t>(i_),
              styles_.begin() + static_cast<std::ptrdiff_t>(end), style);
    i_ = end;
  }

  // Length of an opening long bracket `[==[` at i, or 0; `level` counts the equal signs.
  size_t long_bracket(size_t i, size_t& level) const {
    if (at(i) != '[') return 0;
    size_t j = i + 1;
    while (at(j) == '=') ++j;
    level = j - i - 1;
    return at(j) == '[' ? level + 2 : 0;
  }

  size_t long_end(size_t from, size_t level) const {
    const size_t end = text_.find("]" + std::string(level, '=') + "]", from);
    return end == std::string_view::npos ? text_.size() : end + level + 2;
  }

  void quoted(char quote) {
    size_t j = i_ + 1;
    while (j < text_.size() && text_[j] != quote && text_[j] != '\n') j += text_[j] == '\\' ? 2 : 1;
    fill(at(j) == quote ? j + 1 : j, Style::string);
  }

  void word() {
    size_t j = i_;
    while (j < text_.size() && is_name(text_[j])) ++j;
    const std::string_view name = text_.substr(i_, j - i_);
    const bool field =
        i_ > 0 && (text_[i_ - 1] == '.' || text_[i_ - 1] == ':') && at(i_ - 2) != '.';
    Style style = Style::plain;
    if (!field && std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end())
      style = Style::keyword;
    if (!field && std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end())
      style = Style::constant;
    fill(j, style);
  }

  void number() {
    size_t j = i_;
    const bool hex = at(j) == '0' && (at(j + 1) == 'x' || at(j + 1) == 'X');
    while (j < text_.size()) {
      const char low = static_cast<char>(text_[j] | 0x20);
      const bool sign = (text_[j] == '+' || text_[j] == '-') && j > i_ &&
                        static_cast<char>(text_[j - 1] | 0x20) == (hex ? 'p' : 'e');
      if (!is_name(text_[j]) && text_[j] != '.' && !sign) break;
      if (text_[j] == '.' && at(j + 1) == '.') break;
      if (static_cast<unsigned char>(low) >= 0x80) break;
      ++j;
    }
    fill(std::max(j, i_ + 1), Style::number);
  }

  void token() {
    const char c = text_[i_];
    size_t level = 0;
    if (c == '-' && at(i_ + 1) == '-') {
      const size_t open = long_bracket(i_ + 2, level);
      fill(open ? long_end(i_ + 2 + open, level) : text_.find('\n', i_), Style::comment);
    } else if (c == '"' || c == '\'') {
      quoted(c);
    } else if (const size_t open = long_bracket(i_, level)) {
      fill(long_end(i_ + open, level), Style::string);
    } else if (is_digit(c) || (c == '.' && is_digit(at(i_ + 1)))) {
      number();
    } else if (is_name_start(c)) {
      word();
    } else {
      fill(i_ + 1, std::string_view("()[]{}").find(c) != std::string_view::npos ? Style::bracket
                                                                                : Style::plain);
    }
  }

  std::string_view text_;
  std::vector<Style> styles_;
  size_t i_ = 0;
};

bool opens(char c) {
  return c == '(' || c == '[' || c == '{';
}
char partner(char c) {
  constexpr std::string_view kPairs = "()[]{}";
  return kPairs[kPairs.find(c) ^ 1];
}

}  // namespace

std::vector<Style> highlight_lua(std::string_view text) {
  return Scanner(text).run();
}

bool find_bracket_pair(std::string_view text, const std::vector<Style>& styles, size_t cursor,
                       size_t& one, size_t& other) {
  const auto is_bracket = [&](size_t i) { return i < text.size() && styles[i] == Style::bracket; };
  if (cursor > 0 && is_bracket(cursor - 1))
    one = cursor - 1;
  else if (is_bracket(cursor))
    one = cursor;
  else
    return false;
  const char mine = text[one], theirs = partner(mine);
  const bool forward = opens(mine);
  int depth = 0;
  for (size_t i = one; i < text.size(); forward ? ++i : --i) {
    if (styles[i] == Style::bracket && text[i] == mine) ++depth;
    if (styles[i] == Style::bracket && text[i] == theirs && --depth == 0) {
      other = i;
      return true;
    }
    if (i == 0 && !forward) break;
  }
  return false;
}

const char* style_escape(Style style) {
  switch (style) {
    case Style::keyword:
      return "\x1b[0;35m";
    case Style::constant:
    case Style::number:
      return "\x1b[0;36m";
    case Style::string:
      return "\x1b[0;32m";
    case Style::comment:
    case Style::hint:
      return "\x1b[0;90m";
    case Style::command:
      return "\x1b[0;33m";
    case Style::prompt:
      return "\x1b[0;1;34m";
    case Style::match:
      return "\x1b[0;1;4m";
    case Style::plain:
    case Style::bracket:
      break;
  }
  return "\x1b[0m";
}

}  // namespace lm
