#include "engine/text/split_words.h"

#include "engine/text/unicode.h"

namespace lm {

namespace {

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Reads characters of one span by position; past the end there is a character of no class.
class Scanner {
 public:
  Scanner(std::string_view text, Words::Span span) : text_(text.substr(0, span.end)) {}
  struct Char {
    char32_t value = 0;
    uint32_t size = 0;  // 0 at the end
    uint8_t cls = 0;
    bool end() const { return size == 0; }
    bool is(int classes) const { return (cls & classes) != 0; }
    // [^\s\p{L}\p{N}]; ill-formed bytes count
    bool other() const { return size != 0 && !is(kLetter | kNumber | kSpace); }
    bool newline() const { return value == '\n' || value == '\r'; }
  };
  Char at(size_t i) const {
    if (i >= text_.size()) return {};
    const auto byte = static_cast<uint8_t>(text_[i]);
    if (byte < 128) return {byte, 1, kAsciiClass[byte]};
    const CodePoint c = decode_utf8(text_, i);
    return {c.value, c.size, char_class(c.value)};
  }
  template <typename Condition>
  size_t skip(size_t i, Condition&& condition) const {
    for (Char c = at(i); !c.end() && condition(c); c = at(i)) i += c.size;
    return i;
  }
  size_t size() const { return text_.size(); }

 private:
  std::string_view text_;
};

// End of 's 't 're 've 'm 'll 'd at `i` (where the apostrophe is), or i when there is none.
size_t contraction_end(const Scanner& s, size_t i, bool ignore_case) {
  const auto letter = [&](size_t at) -> Scanner::Char {
    Scanner::Char c = s.at(at);
    if (!ignore_case) return c;
    if (c.value >= 'A' && c.value <= 'Z') c.value += 32;
    if (c.value == 0x17F) c.value = 's';  // the long s folds to s
    return c;
  };
  const Scanner::Char a = letter(i + 1);
  if (a.value == 's' || a.value == 't' || a.value == 'm' || a.value == 'd') return i + 1 + a.size;
  const Scanner::Char b = a.end() ? Scanner::Char{} : letter(i + 1 + a.size);
  const bool pair =
      ((a.value == 'r' || a.value == 'v') && b.value == 'e') || (a.value == 'l' && b.value == 'l');
  return pair ? i + 1 + a.size + b.size : i;
}

// \s+(?!\S)|\s+ over a run of white space that ends at `end`: all of it at the end of the text,
// else all but the last character, which belongs to the next word if that wants it.
size_t space_end(const Scanner& s, size_t begin, size_t last, size_t end) {
  return end == s.size() || last == begin ? end : last;
}

struct SpaceRun {
  size_t end, last,
      after_newline;  // after_newline: end of the last \r or \n in the run, 0 when there is none
};
SpaceRun space_run(const Scanner& s, size_t begin) {
  SpaceRun run{begin, begin, 0};
  for (Scanner::Char c = s.at(begin); c.is(kSpace); c = s.at(run.end)) {
    run.last = run.end;
    run.end += c.size;
    if (c.newline()) run.after_newline = run.end;
  }
  return run;
}

const auto kIsLetter = [](const Scanner::Char& c) { return c.is(kLetter); };
const auto kIsNumber = [](const Scanner::Char& c) { return c.is(kNumber); };
const auto kIsOther = [](const Scanner::Char& c) { return c.other(); };
const auto kIsNewline = [](const Scanner::Char& c) { return c.newline(); };

size_t gpt2_end(const Scanner& s, size_t i) {
  Scanner::Char c = s.at(i);
  if (c.value == '\'') {
    const size_t end = contraction_end(s, i, false);
    if (end > i) return end;
  }
  size_t start = i;
  if (c.value == ' ') {
    const Scanner::Char next = s.at(i + 1);
    if (!next.end() && !next.is(kSpace)) {
      c = next;
      start = i + 1;
    }
  }
  if (c.is(kLetter)) return s.skip(start, kIsLetter);
  if (c.is(kNumber)) return s.skip(start, kIsNumber);
  if (c.other()) return s.skip(start, kIsOther);
  const SpaceRun run = space_run(s, i);
  return space_end(s, i, run.last, run.end);
}

size_t llama3_end(const Scanner& s, size_t i, int max_digits) {
  const Scanner::Char c = s.at(i);
  if (c.value == '\'') {
    const size_t end = contraction_end(s, i, true);
    if (end > i) return end;
  }
  if (c.is(kLetter)) return s.skip(i, kIsLetter);
  if (c.is(kNumber)) {
    size_t end = i;
    for (int n = 0; n < max_digits && s.at(end).is(kNumber); ++n) end += s.at(end).size;
    return end;
  }
  const Scanner::Char next = s.at(i + c.size);
  // An ill-formed byte is no character: no pattern matches it, so it does not join the letters
  // after it.
  if (!c.newline() && c.value != kInvalidCodePoint && next.is(kLetter))
    return s.skip(i + c.size, kIsLetter);
  if (c.other()) return s.skip(s.skip(i, kIsOther), kIsNewline);
  if (c.value == ' ' && next.other()) return s.skip(s.skip(i + 1, kIsOther), kIsNewline);
  const SpaceRun run = space_run(s, i);
  if (run.after_newline > 0) return run.after_newline;
  return space_end(s, i, run.last, run.end);
}

}  // namespace

void split_words(WordSplit kind, std::string_view text, Words::Span span,
                 std::vector<Words::Span>& out) {
  const Scanner s(text, span);
  for (size_t i = span.begin; i < span.end;) {
    size_t end = i;
    switch (kind) {
      case WordSplit::gpt2:
        end = gpt2_end(s, i);
        break;
      case WordSplit::llama3:
        end = llama3_end(s, i, 3);
        break;
      case WordSplit::qwen2:
        end = llama3_end(s, i, 1);
        break;
    }
    out.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(end)});
    i = end;
  }
}

const char* word_split_pattern(WordSplit kind) {
  return kind == WordSplit::gpt2 ? kGpt2 : kind == WordSplit::llama3 ? kLlama3 : kQwen2;
}

bool word_split_for_pattern(std::string_view pattern, WordSplit* kind) {
  for (const WordSplit k : {WordSplit::gpt2, WordSplit::llama3, WordSplit::qwen2}) {
    if (pattern == word_split_pattern(k)) {
      *kind = k;
      return true;
    }
  }
  return false;
}

}  // namespace lm
