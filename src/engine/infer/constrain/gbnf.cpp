#include <unordered_map>

#include "engine/core/error.h"
#include "engine/infer/constrain/char_set.h"
#include "engine/infer/constrain/free_text.h"
#include "engine/infer/constrain/front_ends.h"
#include "engine/infer/constrain/regex.h"
#include "engine/text/unicode.h"

namespace lm {
namespace {

constexpr int kMaxNesting = 200;

class Reader {
 public:
  Reader(Grammar& g, std::string_view text, const GbnfOptions& options,
         std::vector<std::string>& notes)
      : g_(g), text_(text), options_(options), notes_(notes) {
    LM_CHECK(text.size() <= (size_t{4} << 20), ErrorCode::unsupported,
             "gbnf: a grammar of {} bytes; expected at most 4194304", text.size());
    LM_CHECK(is_valid_utf8(text), ErrorCode::bad_option, "gbnf: the grammar is not valid UTF-8");
  }

  RuleId read() {
    for (space(true); at_ < text_.size(); space(true)) {
      const std::string name = word();
      const RuleId rule = rule_of(name);
      if (g_.is_defined(rule)) fail(fmt::format("the rule \"{}\" is defined twice", name));
      space(true);
      expect("::=");
      space(true);
      g_.define(rule, choice(0));
      space(false);
      if (at_ < text_.size() && !at_newline()) fail("expected the end of the rule");
    }
    const auto root = rules_.find("root");
    LM_CHECK(root != rules_.end() && g_.is_defined(root->second), ErrorCode::bad_option,
             "gbnf: there is no rule \"root\"; expected one to begin with");
    return root->second;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    raise(ErrorCode::bad_option, "gbnf: line {}, column {}: {}", line, column, what);
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool at_newline() const { return peek() == '\n' || peek() == '\r'; }
  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }
  void space(bool newlines) {
    while (at_ < text_.size()) {
      if (peek() == '#') {
        while (at_ < text_.size() && !at_newline()) ++at_;
      } else if (peek() == ' ' || peek() == '\t' || (newlines && at_newline())) {
        ++at_;
      } else {
        return;
      }
    }
  }
  void expect(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) fail(fmt::format("expected {}", token));
    at_ += token.size();
  }
  std::string word() {
    const size_t begin = at_;
    while (is_word(peek())) ++at_;
    if (at_ == begin) fail("expected a rule's name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  RuleId rule_of(const std::string& name) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    return rules_.emplace(name, g_.add_rule(name)).first->second;
  }

  // Inside of parentheses lines may be broken anywhere.
  ExprId choice(int depth) {
    if (depth > kMaxNesting) fail("nested too deep");
    std::vector<ExprId> ways{sequence(depth)};
    for (;;) {
      // A line may end before a | that goes on with the rule.
      const size_t back = at_;
      space(true);
      if (peek() != '|') {
        at_ = back;
        break;
      }
      ++at_;
      space(true);
      ways.push_back(sequence(depth));
    }
    return g_.alt(std::move(ways));
  }

  ExprId sequence(int depth) {
    std::vector<ExprId> parts;
    for (;;) {
      space(depth > 0);
      ExprId item;
      const char c = peek();
      if (c == '"') {
        item = g_.literal(string());
      } else if (c == '%') {
        item = directive();
      } else if (c == '[') {
        item = char_class();
      } else if (c == '(') {
        ++at_;
        space(true);
        item = choice(depth + 1);
        space(true);
        expect(")");
      } else if (c == '.') {
        ++at_;
        item = any_char(g_);
      } else if (c == '<') {
        fail("tokens by name (<...>) are not supported");
      } else if (is_word(c)) {
        item = g_.call(rule_of(word()));
      } else {
        break;
      }
      parts.push_back(quantified(item));
    }
    ExprId e = kEpsilon;
    for (size_t i = parts.size(); i-- > 0;) e = g_.concat(parts[i], e);
    return e;
  }

  ExprId quantified(ExprId item) {
    for (;;) {
      switch (peek()) {
        case '*':
          ++at_, item = g_.repeat(item, 0, kUnbounded);
          break;
        case '+':
          ++at_, item = g_.repeat(item, 1, kUnbounded);
          break;
        case '?':
          ++at_, item = g_.repeat(item, 0, 1);
          break;
        case '{':
          item = counted(item);
          break;
        default:
          return item;
      }
    }
  }

  ExprId counted(ExprId item) {
    ++at_;
    space(true);
    const uint32_t min = peek() == ',' ? 0 : number();
    uint32_t max = min;
    space(true);
    if (peek() == ',') {
      ++at_;
      space(true);
      max = peek() == '}' ? kUnbounded : number();
      space(true);
    }
    expect("}");
    if (max < min) fail("a maximum below the minimum");
    return g_.repeat(item, min, max);
  }

  uint32_t number() {
    uint64_t value = 0;
    const size_t begin = at_;
    for (; peek() >= '0' && peek() <= '9' && at_ < text_.size(); ++at_)
      value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(peek() - '0'), 1u << 31);
    if (at_ == begin) fail("expected a number");
    if (value > 1'000'000) fail("a count above 1000000");
    return static_cast<uint32_t>(value);
  }

  // A character of a string or class, escapes seen through.
  uint32_t character() {
    if (at_ >= text_.size()) fail("the text ends too early");
    if (peek() != '\\') {
      const CodePoint c = decode_utf8(text_, at_);
      at_ += c.size;
      return c.value;
    }
    const char kind = peek(1);
    at_ += 2;
    switch (kind) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '^':
      case '-':
      case '/':
        return static_cast<uint32_t>(kind);
      default:
        at_ -= 2;
        fail("an unknown escape");
    }
  }

  uint32_t hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek(), low = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if (low >= 'a' && low <= 'f') {
        value = value * 16 + static_cast<uint32_t>(low - 'a' + 10);
      } else {
        fail(fmt::format("expected {} hexadecimal digits", digits));
      }
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) fail("not a Unicode character");
    return value;
  }

  std::string string() {
    ++at_;
    std::string out;
    while (peek() != '"' || at_ >= text_.size()) append_utf8(out, character());
    ++at_;
    return out;
  }

  std::string quoted() {
    space(true);
    if (peek() != '"') fail("expected a text in double quotes");
    return string();
  }

  std::vector<std::string> markers() {
    space(true);
    expect("(");
    std::vector<std::string> all{quoted()};
    for (space(true); peek() == '"'; space(true)) all.push_back(string());
    expect(")");
    return all;
  }

  ExprId directive() {
    ++at_;
    const std::string name = word();
    if (name == "json") return g_.call(read_json_schema(g_, json_text(), options_.json, notes_));
    if (name == "regex") return regex_expression(g_, quoted(), RegexMatch::whole);
    if (name == "marker") return marker_expression(g_, quoted(), options_.tokenizer);
    if (name == "until") return text_until(g_, markers(), options_.tokenizer);
    if (name == "without") return text_without(g_, markers(), options_.tokenizer);
    fail("expected %json, %regex, %marker, %until or %without");
  }

  // An object, cut out by its brackets.
  std::string_view json_text() {
    space(true);
    const size_t begin = at_;
    if (peek() != '{') fail("expected a JSON object");
    int depth = 0;
    bool in_string = false;
    do {
      if (at_ >= text_.size()) fail("the JSON object does not end");
      const char c = text_[at_++];
      if (in_string) {
        if (c == '\\') ++at_;
        in_string = c != '"';
      } else if (c == '"') {
        in_string = true;
      } else {
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      }
    } while (depth > 0);
    return text_.substr(begin, at_ - begin);
  }

  ExprId char_class() {
    ++at_;
    const bool inverted = peek() == '^';
    at_ += inverted;
    CharSet set;
    while (peek() != ']' || at_ >= text_.size()) {
      const uint32_t first = character();
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        last = character();
      }
      if (last < first) fail("a range whose end is before its beginning");
      set.add(first, last);
    }
    ++at_;
    return (inverted ? set.inverted() : set).expression(g_);
  }

  Grammar& g_;
  std::string_view text_;
  const GbnfOptions& options_;
  std::vector<std::string>& notes_;
  size_t at_ = 0;
  std::unordered_map<std::string, RuleId> rules_;
};

}  // namespace

RuleId read_gbnf(Grammar& g, std::string_view text, const GbnfOptions& options,
                 std::vector<std::string>& notes) {
  return Reader(g, text, options, notes).read();
}

}  // namespace lm
