#include "engine/text/jinja/lexer.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_char(char c) {
  return is_name_start(c) || is_digit(c);
}

// Line ends become \n and one final \n goes, as in jinja2.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag();
      text_before(tag);
      if (tag == source_.npos) break;
      lex_tag(tag);
    }
    push(TokenType::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    raise(ErrorCode::unsupported, "chat template line {}: {}", line_, what);
  }
  void push(TokenType type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }
  bool starts(size_t at, std::string_view s) const { return source_.compare(at, s.size(), s) == 0; }

  // Position of the next {{, {% or {#; npos when there is none.
  size_t find_tag() const {
    for (size_t i = source_.find('{', at_); i != source_.npos; i = source_.find('{', i + 1)) {
      const char next = i + 1 < source_.size() ? source_[i + 1] : 0;
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return source_.npos;
  }

  void advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  // Emits the text up to the tag (or the end), cut as the tag's sign and lstrip_blocks say.
  void text_before(size_t tag) {
    const size_t end = tag == source_.npos ? source_.size() : tag;
    std::string text = source_.substr(at_, end - at_);
    if (tag != source_.npos) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : 0;
      if (sign == '-') {
        while (!text.empty() && is_space(text.back())) text.pop_back();
      } else if (sign != '+' && source_[tag + 1] != '{') {
        const size_t line = text.rfind('\n') + 1;  // 0 when the text has no line end
        const bool blank =
            std::all_of(text.begin() + static_cast<ptrdiff_t>(line), text.end(), is_space);
        if (blank && (line > 0 || line_starting_)) text.resize(line);
      }
    }
    if (!text.empty()) push(TokenType::text, std::move(text));
    advance(end);
  }

  // After a tag's end: "-" swallows white space, a block or comment swallows one line end.
  void after_tag(bool strip, bool keep, bool variable) {
    size_t to = at_;
    if (strip) {
      while (to < source_.size() && is_space(source_[to])) ++to;
    } else if (!variable && !keep && to < source_.size() && source_[to] == '\n') {
      ++to;
    }
    line_starting_ = to > at_ && source_[to - 1] == '\n';
    advance(to);
  }

  void lex_tag(size_t tag) {
    const char kind = source_[tag + 1];
    if (kind == '#') {
      const size_t end = source_.find("#}", tag + 2);
      if (end == source_.npos) fail("a comment without \"#}\"");
      const char sign = end > tag + 2 ? source_[end - 1] : 0;
      advance(end + 2);
      after_tag(sign == '-', sign == '+', false);
      return;
    }
    const bool variable = kind == '{';
    size_t inside = tag + 2;
    if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) ++inside;
    if (!variable && lex_raw(inside)) return;
    advance(inside);
    push(variable ? TokenType::variable_begin : TokenType::block_begin, "");
    lex_inside(variable);
  }

  // {% raw %}...{% endraw %}: its content is text.
  bool lex_raw(size_t inside) {
    size_t i = skip_space(inside);
    if (!starts(i, "raw")) return false;
    i = skip_space(i + 3);
    const bool strip = i < source_.size() && source_[i] == '-';
    if (strip) ++i;
    if (!starts(i, "%}")) return false;
    advance(i + 2);
    after_tag(strip, false, false);
    for (size_t open = source_.find("{%", at_); open != source_.npos;
         open = source_.find("{%", open + 2)) {
      size_t j = open + 2;
      if (j < source_.size() && (source_[j] == '-' || source_[j] == '+')) ++j;
      j = skip_space(j);
      if (!starts(j, "endraw")) continue;
      j = skip_space(j + 6);
      const bool strip_after = j < source_.size() && source_[j] == '-';
      if (strip_after) ++j;
      if (!starts(j, "%}")) continue;
      text_before(open);
      advance(j + 2);
      after_tag(strip_after, false, false);
      return true;
    }
    fail("raw without endraw");
  }

  size_t skip_space(size_t i) const {
    while (i < source_.size() && is_space(source_[i])) ++i;
    return i;
  }

  void lex_inside(bool variable) {
    std::string open;  // brackets that are open: "}}" inside of a dict does not end a variable
    while (true) {
      advance(skip_space(at_));
      if (at_ >= source_.size()) fail(variable ? "\"{{\" without \"}}\"" : "\"{%\" without \"%}\"");
      if (open.empty() && lex_tag_end(variable)) return;
      const char c = source_[at_];
      if (is_name_start(c)) {
        size_t end = at_;
        while (end < source_.size() && is_name_char(source_[end])) ++end;
        push(TokenType::name, source_.substr(at_, end - at_));
        advance(end);
      } else if (is_digit(c)) {
        lex_number();
      } else if (c == '"' || c == '\'') {
        lex_string(c);
      } else {
        lex_operator(open);
      }
    }
  }

  bool lex_tag_end(bool variable) {
    const char* close = variable ? "}}" : "%}";
    const char sign = source_[at_];
    const size_t skip = sign == '-' || (sign == '+' && !variable) ? 1 : 0;
    if (!starts(at_ + skip, close)) return false;
    push(variable ? TokenType::variable_end : TokenType::block_end, "");
    advance(at_ + skip + 2);
    after_tag(sign == '-', sign == '+', variable);
    return true;
  }

  void lex_number() {
    size_t end = at_;
    bool fraction = false;
    std::string digits;
    while (end < source_.size()) {
      const char c = source_[end];
      const bool point =
          c == '.' && !fraction && end + 1 < source_.size() && is_digit(source_[end + 1]);
      const bool exponent =
          (c == 'e' || c == 'E') && end + 1 < source_.size() &&
          (is_digit(source_[end + 1]) || ((source_[end + 1] == '-' || source_[end + 1] == '+') &&
                                          end + 2 < source_.size() && is_digit(source_[end + 2])));
      if (!is_digit(c) && c != '_' && !point && !exponent) break;
      if (point || exponent) fraction = true;
      if (c != '_') digits += c;
      if (exponent) digits += source_[++end];
      ++end;
    }
    push(fraction ? TokenType::number : TokenType::integer, digits);
    advance(end);
  }

  void lex_string(char quote) {
    std::string text;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\' || i + 1 >= source_.size()) {
        text += source_[i];
      } else {
        i = lex_escape(i + 1, text);
      }
    }
    if (i >= source_.size()) fail("a string without its closing quote");
    push(TokenType::string, std::move(text));
    advance(i + 1);
  }

  // The escape whose letter is at i; returns the position of its last character.
  size_t lex_escape(size_t i, std::string& text) {
    constexpr std::string_view kLetters = "ntrbfav0\\'\"",
                               kMeanings = {"\n\t\r\b\f\a\v\0\\'\"", 11};
    const char c = source_[i];
    if (c == '\n') return i;
    if (const size_t at = kLetters.find(c); at != kLetters.npos) {
      text += kMeanings[at];
      return i;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    char32_t value = 0;
    size_t n = 0;
    for (; n < digits && i + 1 + n < source_.size(); ++n) {
      const char d = source_[i + 1 + n];
      const int digit = is_digit(d)            ? d - '0'
                        : d >= 'a' && d <= 'f' ? d - 'a' + 10
                        : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                               : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (digits == 0 || n < digits || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      text.append("\\").append(1, c);  // Python keeps unknown escapes
      return i;
    }
    append_utf8(text, value);
    return i + digits;
  }

  void lex_operator(std::string& open) {
    for (const char* op : {"//", "**", "==", "!=", "<=", ">="}) {
      if (starts(at_, op)) {
        push(TokenType::op, op);
        advance(at_ + 2);
        return;
      }
    }
    const char c = source_[at_];
    if (std::string_view("+-*/%~<>=.,:|()[]{}").find(c) == std::string_view::npos) {
      fail(fmt::format("unexpected character \"{}\"", c));
    }
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c == ')' || c == ']' || c == '}') {
      const char match = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back() != match) fail(fmt::format("unexpected \"{}\"", c));
      open.pop_back();
    }
    push(TokenType::op, std::string(1, c));
    advance(at_ + 1);
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace lm::jinja
