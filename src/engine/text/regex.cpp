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

}  // namespace

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  LM_CHECK(pattern.size() <= 16384, ErrorCode::unsupported,
           "tokenizer: a pattern of {} bytes; expected at most 16384", pattern.size());
  LM_CHECK(pattern.find("&&[") == pattern.npos, ErrorCode::unsupported,
           "tokenizer: the pattern \"{}\" intersects character classes (&&), which this build "
           "cannot match",
           pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
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
    found(ends[0], ends[1]);
    at = ends[1];
  }
}

}  // namespace lm
