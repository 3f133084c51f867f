#include "engine/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "engine/core/error.h"

namespace lm {

namespace {

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

// Match data and the JIT's stack are scratch space: one set per thread serves every pattern.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(64, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(size_t{32} << 10, size_t{1} << 20, nullptr);
  Scratch() {
    pcre2_set_match_limit(context, 10'000'000);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

// Word characters of Oniguruma: alphabetic, marks, numbers, connectors. PCRE2 has no marks there.
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{N}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

// End of the character class that begins at `at` with a bracket.
size_t class_end(std::string_view pattern, size_t at) {
  size_t depth = 0;
  for (size_t i = at; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '[') {
      ++depth;
    } else if (pattern[i] == ']' && --depth == 0) {
      return i + 1;
    }
  }
  return pattern.npos;
}

// [A&&[^B]] -> (?:(?![B])[A]), with \w spelled out; other classes only get the latter.
void append_class(std::string_view cls, const std::string& whole, std::string& out) {
  std::string text;
  for (size_t i = 0; i < cls.size(); ++i) {
    if (cls[i] == '\\' && i + 1 < cls.size()) {
      if (cls[i + 1] == 'w') {
        text += kWord;
      } else {
        text.append(cls.substr(i, 2));
      }
      ++i;
    } else {
      text += cls[i];
    }
  }
  const size_t both = text.find("&&");
  if (both == text.npos) {
    out += text;
    return;
  }
  std::string_view right = std::string_view(text).substr(both + 2);
  LM_CHECK(right.starts_with("[^") && right.ends_with("]]") && right.find("&&") == right.npos,
           ErrorCode::unsupported,
           "tokenizer: the pattern \"{}\" intersects character classes (&&) in a way that this "
           "build cannot match; expected [..&&[^..]]",
           whole);
  right.remove_suffix(1);
  out.append("(?:(?![").append(right.substr(2)).append(")").append(text.substr(0, both));
  out.append("])");
}

// The pattern in PCRE2's language.
std::string translate(const std::string& pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size();) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    if (rest.starts_with("\\w") || rest.starts_with("\\W")) {
      out.append(rest[1] == 'w' ? "[" : "[^").append(kWord).append("]");
      i += 2;
    } else if (rest[0] == '\\' && rest.size() > 1) {
      out.append(rest.substr(0, 2));
      i += 2;
    } else if (rest[0] == '[') {
      // A class with a bracket as its first member ("[[" without &&) is left as it is.
      const size_t end = pattern.find("&&", i) == pattern.npos ? i : class_end(pattern, i);
      const size_t simple = pattern.find(']', i + 2);
      const size_t stop = end != i && end != pattern.npos ? end
                          : simple == pattern.npos        ? pattern.size()
                                                          : simple + 1;
      append_class(std::string_view(pattern).substr(i, stop - i), pattern, out);
      i = stop;
    } else {
      out += pattern[i++];
    }
  }
  return out;
}

}  // namespace

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  LM_CHECK(pattern.size() <= 16384, ErrorCode::unsupported,
           "tokenizer: a pattern of {} bytes; expected at most 16384", pattern.size());
  const std::string translated = translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                    &error, &offset, nullptr);
  LM_CHECK(code != nullptr, ErrorCode::unsupported,
           "tokenizer: cannot use the pattern \"{}\": {} at byte {}", pattern, pcre2_message(error),
           offset);
  code_ =
      std::shared_ptr<void>(code, [](void* c) { pcre2_code_free(static_cast<pcre2_code*>(c)); });
  // Without JIT (no executable memory allowed) matching still works, only slower.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

void Regex::find_all(std::string_view text,
                     const std::function<void(size_t, size_t)>& found) const {
  static thread_local Scratch scratch;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  size_t at = 0;
  while (at < text.size()) {
    const int rc = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                               PCRE2_NOTEMPTY, scratch.data, scratch.context);
    if (rc == PCRE2_ERROR_NOMATCH) return;
    LM_CHECK(rc >= 0, ErrorCode::bad_file, "tokenizer: matching \"{}\" failed: {}", pattern_,
             pcre2_message(rc));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data);
    // \K in a lookahead can report an end before the begin; such a match says nothing.
    if (ends[0] < at || ends[1] <= ends[0]) return;
    const size_t begin = ends[0];
    at = ends[1];
    found(begin, at);  // may match something else meanwhile
  }
}

}  // namespace lm
