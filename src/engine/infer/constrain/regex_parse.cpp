#include <algorithm>

#include "engine/core/error.h"
#include "engine/infer/constrain/regex_tree.h"
#include "engine/text/unicode.h"

namespace lm {
namespace {

constexpr uint32_t kMaxPattern = 20000, kMaxNesting = 100;
using Node = RegexNode;
using NodePtr = std::unique_ptr<Node>;

const CharSet kDigits{{'0', '9'}};
const CharSet kWord{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}};
const CharSet kSpaces{{9, 13},          {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                      {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

struct PosixClass {
  std::string_view name;
  CharSet set;
};
const PosixClass kPosix[] = {
    {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
    {"digit", {{'0', '9'}}},
    {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
    {"upper", {{'A', 'Z'}}},
    {"lower", {{'a', 'z'}}},
    {"space", {{9, 13}, {32, 32}}},
    {"blank", {{9, 9}, {32, 32}}},
    {"punct", {{33, 47}, {58, 64}, {91, 96}, {123, 126}}},
    {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
    {"word", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}}},
    {"print", {{32, 126}}},
    {"graph", {{33, 126}}},
    {"cntrl", {{0, 31}, {127, 127}}},
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    LM_CHECK(text.size() <= kMaxPattern, ErrorCode::unsupported,
             "regex: a pattern of {} bytes; expected at most {}", text.size(), kMaxPattern);
    LM_CHECK(is_valid_utf8(text), ErrorCode::bad_option, "regex: the pattern is not valid UTF-8");
  }

  NodePtr parse() {
    NodePtr node = choice(0);
    if (at_ < text_.size()) fail("an unmatched )");
    return node;
  }

 private:
  [[noreturn]] void fail(std::string_view what, ErrorCode code = ErrorCode::bad_option) const {
    raise(code, "regex: {} at byte {} of \"{}\"", what, at_ + 1, text_.substr(0, 200));
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(fmt::format("{} is not supported", what), ErrorCode::unsupported);
  }
  bool done() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  uint32_t code_point() {
    const CodePoint c = decode_utf8(text_, at_);
    at_ += c.size;
    return c.value;
  }

  static NodePtr make(Node::Kind kind) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->assertions =
        kind == Node::Kind::begin || kind == Node::Kind::end || kind == Node::Kind::look;
    return node;
  }
  static void add(Node& parent, NodePtr child) {
    parent.assertions = parent.assertions || child->assertions;
    parent.parts.push_back(std::move(child));
  }
  NodePtr set_node(CharSet set) const {
    if (fold_) set.fold_case();
    auto node = make(Node::Kind::set);
    node->set = std::move(set);
    return node;
  }

  NodePtr choice(uint32_t depth) {
    if (depth > kMaxNesting) fail("groups nested too deep", ErrorCode::unsupported);
    NodePtr first = sequence(depth);
    if (peek() != '|' || done()) return first;
    auto node = make(Node::Kind::choice);
    add(*node, std::move(first));
    while (!done() && take("|")) add(*node, sequence(depth));
    return node;
  }

  NodePtr sequence(uint32_t depth) {
    auto node = make(Node::Kind::sequence);
    while (!done() && peek() != '|' && peek() != ')') {
      NodePtr item = atom(depth);
      if (item) add(*node, quantified(std::move(item)));
    }
    return node;
  }

  // Null for what adds nothing: comments, flags.
  NodePtr atom(uint32_t depth) {
    switch (peek()) {
      case '(':
        return group(depth);
      case '[':
        return set_node(char_class());
      case '^':
        ++at_;
        return make(Node::Kind::begin);
      case '$':
        ++at_;
        return make(Node::Kind::end);
      case '.':
        ++at_;
        return set_node(dot_all_
                            ? CharSet{{0, 0x10FFFF}}
                            : CharSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.inverted());
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        fail("a quantifier without something to repeat");
      default: {
        const uint32_t c = code_point();
        return set_node({{c, c}});
      }
    }
  }

  NodePtr group(uint32_t depth) {
    ++at_;
    const bool fold = fold_, dot_all = dot_all_;
    NodePtr node;
    if (!take("?")) {
      node = choice(depth + 1);
    } else if (take("=") || peek() == '!') {
      node = make(Node::Kind::look);
      node->negative = take("!");
      add(*node, choice(depth + 1));
    } else if (peek() == '<' && (peek(1) == '=' || peek(1) == '!')) {
      unsupported("lookbehind");
    } else if (peek() == '<' || peek() == '\'' || (peek() == 'P' && peek(1) == '<')) {
      const char close = peek() == '\'' ? '\'' : '>';
      const size_t end = text_.find(close, at_ + 2);
      if (end == text_.npos) fail("a group's name without an end");
      at_ = end + 1;
      node = choice(depth + 1);
    } else if (take("#")) {
      at_ = std::min(text_.find(')', at_), text_.size());
    } else {
      if (peek() == '>' || peek() == '|' || peek() == '(' || peek() == 'R' || peek() == '&' ||
          peek() == 'P')
        unsupported("this kind of group");
      flags();
      if (take(":")) {
        node = choice(depth + 1);
      } else if (peek() == ')') {
        ++at_;
        return nullptr;  // the flags hold until the enclosing group ends
      } else {
        fail("an unknown kind of group");
      }
    }
    if (!take(")")) fail("a ( without its )");
    fold_ = fold;
    dot_all_ = dot_all;
    return node;
  }

  void flags() {
    bool on = true;
    for (;; ++at_) {
      switch (peek()) {
        case '-':
          on = false;
          break;
        case 'i':
          fold_ = on;
          break;
        case 's':
          dot_all_ = on;
          break;
        case 'u':
        case 'a':
          break;
        case 'm':
        case 'x':
          unsupported(fmt::format("the flag {}", peek()));
        default:
          return;
      }
    }
  }

  NodePtr quantified(NodePtr item) {
    while (!done()) {
      uint32_t min = 0, max = kUnbounded;
      const char c = peek();
      if (c == '*' || c == '+' || c == '?') {
        min = c == '+' ? 1 : 0;
        max = c == '?' ? 1 : kUnbounded;
        ++at_;
      } else if (c != '{' || !braces(&min, &max)) {
        return item;
      }
      if (item->kind == Node::Kind::begin || item->kind == Node::Kind::end)
        fail("a quantifier behind an anchor");
      if (peek() == '+') unsupported("a possessive quantifier");
      take("?");
      auto node = make(Node::Kind::repeat);
      node->min = min;
      node->max = max;
      add(*node, std::move(item));
      item = std::move(node);
      if (peek() == '*' || peek() == '+' || peek() == '?') fail("a quantifier of a quantifier");
    }
    return item;
  }

  // {n}, {n,}, {n,m}; anything else is plain text.
  bool braces(uint32_t* min, uint32_t* max) {
    size_t i = at_ + 1;
    const auto number = [&](uint32_t* out) {
      const size_t begin = i;
      uint64_t value = 0;
      for (; i < text_.size() && text_[i] >= '0' && text_[i] <= '9'; ++i)
        value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(text_[i] - '0'), 1u << 31);
      *out = static_cast<uint32_t>(value);
      return i > begin;
    };
    if (!number(min)) return false;
    *max = *min;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      if (!number(max)) *max = kUnbounded;
    }
    if (i >= text_.size() || text_[i] != '}') return false;
    at_ = i + 1;
    if (*max < *min) fail("a quantifier whose maximum is below its minimum");
    if (*min > 1'000'000 || (*max != kUnbounded && *max > 100'000'000))
      fail("a count too large", ErrorCode::unsupported);
    return true;
  }

  NodePtr escape() {
    switch (peek(1)) {
      case 'A':
        at_ += 2;
        return make(Node::Kind::begin);
      case 'Z':
      case 'z':
        at_ += 2;
        return make(Node::Kind::end);
      case 'b':
      case 'B':
        unsupported("a word boundary");
      case 'k':
      case 'g':
        unsupported("a reference to a group");
      case 'R': {
        at_ += 2;
        return set_node({{10, 13}, {0x85, 0x85}, {0x2028, 0x2029}});
      }
      default:
        break;
    }
    if (peek(1) >= '1' && peek(1) <= '9') unsupported("a reference to a group");
    CharSet set;
    escaped_set(set, nullptr);
    return set_node(std::move(set));
  }

  // \x41 and the like as a single character (*single), \d and the like as a set.
  void escaped_set(CharSet& set, uint32_t* single) {
    if (single) *single = kUnbounded;
    ++at_;
    if (done()) fail("a \\ at the end");
    const auto one = [&](uint32_t c) {
      set.add(c, c);
      if (single) *single = c;
    };
    const char c = peek();
    ++at_;
    switch (c) {
      case 'd':
        set.add(kDigits);
        return;
      case 'D':
        set.add(kDigits.inverted());
        return;
      case 'w':
        set.add(kWord);
        return;
      case 'W':
        set.add(kWord.inverted());
        return;
      case 's':
        set.add(kSpaces);
        return;
      case 'S':
        set.add(kSpaces.inverted());
        return;
      case 'h':
        set.add(CharSet{{9, 9}, {32, 32}, {0xA0, 0xA0}});
        return;
      case 'p':
      case 'P':
        set.add(property(c == 'P'));
        return;
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'e':
        return one(27);
      case 'a':
        return one(7);
      case '0':
        return one(octal());
      case 'c':
        if (done()) fail("\\c without a letter");
        return one(static_cast<uint32_t>(text_[at_++]) & 31);
      case 'x':
        return one(hex(peek() == '{', 2));
      case 'u':
        return one(code_unit());
      default:
        break;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9')) {
      --at_;
      fail(fmt::format("an unknown escape \\{}", c));
    }
    --at_;
    one(code_point());
  }

  uint32_t octal() {
    uint32_t value = 0;
    for (int i = 0; i < 2 && peek() >= '0' && peek() <= '7'; ++i, ++at_)
      value = value * 8 + static_cast<uint32_t>(peek() - '0');
    return value;
  }

  uint32_t hex(bool in_braces, int digits) {
    if (in_braces) ++at_;
    uint32_t value = 0;
    int n = 0;
    for (; in_braces ? n < 8 : n < digits; ++n, ++at_) {
      const char c = peek();
      const char low = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if (low >= 'a' && low <= 'f') {
        value = value * 16 + static_cast<uint32_t>(low - 'a' + 10);
      } else {
        break;
      }
    }
    if (n == 0 || (!in_braces && n < digits) || (in_braces && !take("}")) || value > 0x10FFFF)
      fail("a wrong hexadecimal escape");
    return value;
  }

  uint32_t code_unit() {
    const uint32_t high = hex(peek() == '{', 4);
    if (high < 0xD800 || high > 0xDBFF || !take("\\u")) return high;
    const uint32_t low = hex(false, 4);
    if (low < 0xDC00 || low > 0xDFFF) fail("a high surrogate without a low one");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  CharSet property(bool inverted) {
    std::string_view name;
    if (take("{")) {
      const size_t end = text_.find('}', at_);
      if (end == text_.npos) fail("a \\p{ without its }");
      name = text_.substr(at_, end - at_);
      at_ = end + 1;
    } else {
      name = text_.substr(at_, 1);
      ++at_;
    }
    if (name.starts_with("^")) {
      inverted = !inverted;
      name.remove_prefix(1);
    }
    const auto set = unicode_property(name);
    if (!set) unsupported(fmt::format("the Unicode property \"{}\"", name));
    return inverted ? set->inverted() : *set;
  }

  CharSet char_class() {
    ++at_;
    const bool inverted = take("^");
    CharSet set;
    // PCRE and Python read a ] that comes first as a member, ECMAScript as the end; an empty class
    // that nothing can match is rarely meant, so that only [] and [^] followed by no further ] end.
    if (peek() == ']' && text_.find(']', at_ + 1) != text_.npos && peek(1) != ')' && peek(1) != 0 &&
        peek(1) != '*' && peek(1) != '+') {
      set.add(']', ']');
      ++at_;
    }
    while (peek() != ']' || done()) {
      if (done()) fail("a [ without its ]");
      if (peek() == '[' && peek(1) == ':' && posix(set)) continue;
      uint32_t first = kUnbounded;
      class_member(set, &first);
      if (peek() != '-' || peek(1) == ']' || first == kUnbounded) continue;
      ++at_;
      uint32_t last = kUnbounded;
      class_member(set, &last);
      if (last == kUnbounded) {  // [a-\d]: the hyphen is meant
        set.add('-', '-');
        continue;
      }
      if (last < first) fail("a range whose end is before its beginning");
      set.add(first, last);
    }
    ++at_;
    if (fold_) set.fold_case();
    return inverted ? set.inverted() : set;
  }

  void class_member(CharSet& set, uint32_t* single) {
    if (done()) fail("a [ without its ]");
    if (peek() == '\\' && peek(1) == 'b') {
      at_ += 2;
      set.add(8, 8);
      *single = 8;
    } else if (peek() == '\\') {
      escaped_set(set, single);
    } else {
      *single = code_point();
      set.add(*single, *single);
    }
  }

  bool posix(CharSet& set) {
    const size_t end = text_.find(":]", at_);
    if (end == text_.npos) return false;
    std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    const bool inverted = name.starts_with("^");
    if (inverted) name.remove_prefix(1);
    for (const PosixClass& c : kPosix) {
      if (c.name != name) continue;
      set.add(inverted ? c.set.inverted() : c.set);
      at_ = end + 2;
      return true;
    }
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool fold_ = false, dot_all_ = false;
};

}  // namespace

std::unique_ptr<RegexNode> parse_regex(std::string_view pattern) {
  return Parser(pattern).parse();
}

}  // namespace lm
