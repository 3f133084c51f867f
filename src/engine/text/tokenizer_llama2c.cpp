// Tokenizers in the format of llama2.c: u32 longest token, then for each token f32 score, u32
// length, bytes. The format has no token kinds and no ids of special tokens: 0 is <unk>, 1 BOS, 2
// EOS, 3 to 258 the bytes. Source: karpathy/llama2.c run.c (build_tokenizer) and tokenizer.py
// (export).
#include "engine/text/tokenizer_llama2c.h"

#include <cstring>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/text/scored_bpe.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

namespace {

constexpr int32_t kFirstByte = 3, kFirstNormal = 259;

TokenKind kind_of(int32_t id) {
  if (id == 0) return TokenKind::unknown;
  if (id < kFirstByte) return TokenKind::control;
  return id < kFirstNormal ? TokenKind::byte : TokenKind::normal;
}

// The exporter wrote "▁" as a space and wrapped BOS and EOS into newlines; this undoes both.
std::string original_text(int32_t id, std::string_view text) {
  if (id == 1 || id == 2) return id == 1 ? "<s>" : "</s>";
  if (id < kFirstNormal) return std::string(text);
  std::string out;
  for (const char c : text) {
    if (c == ' ') {
      out += "\xE2\x96\x81";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::vector<Llama2cToken> read_llama2c_tokens(std::span<const std::byte> bytes,
                                              const std::string& name) {
  std::vector<Llama2cToken> out;
  size_t at = 4;
  while (at < bytes.size()) {
    LM_CHECK(bytes.size() - at >= 8, ErrorCode::bad_file, "load: {} ends inside token {}", name,
             out.size());
    Llama2cToken token;
    uint32_t size;
    std::memcpy(&token.score, bytes.data() + at, 4);
    std::memcpy(&size, bytes.data() + at + 4, 4);
    at += 8;
    LM_CHECK(size <= bytes.size() - at, ErrorCode::bad_file,
             "load: {}: token {} has {} bytes; expected at most the {} that are left", name,
             out.size(), size, bytes.size() - at);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at, size);
    const auto id = static_cast<int32_t>(out.size());
    token.text = original_text(id, text);
    token.kind = kind_of(id);
    out.push_back(std::move(token));
    at += size;
  }
  return out;
}

std::shared_ptr<const Tokenizer> parse_tokenizer_llama2c(std::span<const std::byte> bytes,
                                                         const std::string& name) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.kind = "bpe (SentencePiece)";
  p.name = name;
  std::vector<float> scores;
  for (const Llama2cToken& token : read_llama2c_tokens(bytes, name)) {
    p.vocab.add(token.text, token.kind);
    scores.push_back(token.score);
  }
  LM_CHECK(
      p.vocab.size() > kFirstNormal && byte_token_value(p.vocab.text(kFirstByte)) == 0,
      ErrorCode::bad_file,
      "load: {} is not a llama2.c tokenizer; expected <unk>, BOS, EOS, 256 byte tokens and more",
      name);
  set_sentencepiece_bytes(p.vocab);
  for (int32_t id = 0; id < kFirstByte; ++id) p.mark_special(id);
  p.added_raw = AddedTokens({{"<unk>", 0, true}, {"<s>", 1, true}, {"</s>", 2, true}});
  p.unk = 0;
  p.bos = 1;
  p.prefix = {1};
  p.add_eos(2);
  p.leading_space = LeadingSpace::drop_one;
  p.normalizers = {prepend(" "), replace_string(" ", "\xE2\x96\x81")};
  ScoredBpeOptions options;
  options.byte_fallback = true;
  options.unk = 0;
  p.model = std::make_unique<ScoredBpe>(p.vocab, scores, options);
  return std::make_shared<const Tokenizer>(std::move(parts));
}

std::shared_ptr<const Tokenizer> load_tokenizer_llama2c(const std::string& path) {
  const MappedFile file(path);
  return parse_tokenizer_llama2c(file.bytes(), path);
}

}  // namespace lm
