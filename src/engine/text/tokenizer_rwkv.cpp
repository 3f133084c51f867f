// The RWKV World vocabulary: lines of an id, the token as a Python literal ('...' or b'...') and
// its number of bytes. Source: BlinkDL/RWKV-LM RWKV-v5/tokenizer/rwkv_tokenizer.py.
#include <algorithm>
#include <charconv>

#include "engine/core/error.h"
#include "engine/text/greedy.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"
#include "engine/text/unicode.h"

namespace lm {

namespace {

// Reads n hexadecimal digits at text[*at]; false when they are not there.
bool read_hex(std::string_view text, size_t* at, size_t n, uint32_t* value) {
  if (text.size() - *at < n) return false;
  const char* begin = text.data() + *at;
  const auto [end, error] = std::from_chars(begin, begin + n, *value, 16);
  *at += n;
  return error == std::errc() && end == begin + n;
}

// One escape after its backslash, appended as UTF-8 or, in a bytes literal, as a byte.
bool append_escape(std::string_view text, size_t* at, bool is_bytes, std::string& out) {
  const char c = text[(*at)++];
  constexpr std::string_view kNames = "tnr0abfv\\'\"";
  constexpr char kValues[] = {'\t', '\n', '\r', '\0', '\a', '\b', '\f', '\v', '\\', '\'', '"'};
  if (const size_t i = kNames.find(c); i != kNames.npos) {
    out += kValues[i];
    return true;
  }
  const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  uint32_t value = 0;
  if (digits == 0 || !read_hex(text, at, digits, &value) || value > 0x10FFFF) return false;
  if (is_bytes) {
    out.push_back(static_cast<char>(value));
  } else {
    append_utf8(out, value);
  }
  return true;
}

bool read_literal(std::string_view text, std::string& out) {
  const bool is_bytes = text.starts_with('b');
  if (is_bytes) text.remove_prefix(1);
  if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0])
    return false;
  text = text.substr(1, text.size() - 2);
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
    } else if (++at == text.size() || !append_escape(text, &at, is_bytes, out)) {
      return false;
    }
  }
  return true;
}

bool read_number(std::string_view text, int32_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0;
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_rwkv(std::string_view text,
                                                    const std::string& name) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  p.kind = "rwkv";
  p.vocab.add("<|endoftext|>", TokenKind::control);  // id 0 is not in the file
  p.mark_special(0);
  p.add_eos(0);
  std::string bytes;
  std::vector<std::string> token_bytes(1);
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t first = line.find(' '), last = line.rfind(' ');
    int32_t id = -1, size = -1;
    bytes.clear();
    LM_CHECK(first != line.npos && last > first && read_number(line.substr(0, first), &id) &&
                 read_number(line.substr(last + 1), &size) &&
                 read_literal(line.substr(first + 1, last - first - 1), bytes) &&
                 bytes.size() == static_cast<size_t>(size),
             ErrorCode::bad_file,
             "load: {}, line {}: expected an id, a literal such as 'a' or b'\\xff', and its number "
             "of bytes",
             name, line_number);
    LM_CHECK(id >= p.vocab.size() && id < Vocab::kMaxTokens, ErrorCode::bad_file,
             "load: {}, line {}: id {}; expected one from {} to {}", name, line_number, id,
             p.vocab.size(), Vocab::kMaxTokens - 1);
    p.vocab.pad_to(id);
    p.vocab.add(is_valid_utf8(bytes) ? std::string_view(bytes)
                                     : line.substr(first + 1, last - first - 1));
    token_bytes.resize(static_cast<size_t>(id));
    token_bytes.push_back(bytes);
  }
  LM_CHECK(p.vocab.size() > 1, ErrorCode::bad_file, "load: {} has no tokens", name);
  p.vocab.set_bytes([&](int32_t id, std::string& out) {
    out += id == 0 ? "<|endoftext|>" : token_bytes[static_cast<size_t>(id)];
  });
  p.added_raw = AddedTokens({{"<|endoftext|>", 0, true}});
  p.model = std::make_unique<Greedy>(p.vocab, -1);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_rwkv(std::string_view text,
                                                     const std::string& name) {
  return std::make_shared<const Tokenizer>(read_tokenizer_rwkv(text, name));
}

}  // namespace lm
