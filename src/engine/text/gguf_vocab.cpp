#include "engine/text/gguf_vocab.h"

#include <algorithm>

#include "engine/core/error.h"

namespace lm {

namespace {
constexpr const char* kPrefix = "tokenizer.ggml.";
}

std::string gguf_key(const char* name) {
  return std::string(kPrefix) + name;
}

int32_t gguf_special_id(const GgufFile& file, const Vocab& vocab, const char* name,
                        int32_t fallback) {
  const std::optional<int64_t> id = file.get_int(gguf_key(name));
  if (!id) return vocab.contains(fallback) ? fallback : -1;
  if (*id == -1 || *id == UINT32_MAX) return -1;
  LM_CHECK(*id >= 0 && *id < vocab.size(), ErrorCode::bad_file,
           "load: {}{} is {}; expected 0 to {}", kPrefix, name, *id, vocab.size() - 1);
  return static_cast<int32_t>(*id);
}

void read_gguf_vocab(const GgufFile& file, TokenizerParts& p) {
  const std::vector<std::string_view> tokens = file.get_strings(gguf_key("tokens"));
  const std::vector<int64_t> kinds = file.get_ints(gguf_key("token_type"));
  LM_CHECK(!tokens.empty(), ErrorCode::bad_file,
           "load: the file has no {}tokens; expected a list of strings", kPrefix);
  LM_CHECK(kinds.empty() || kinds.size() == tokens.size(), ErrorCode::bad_file,
           "load: {}token_type has {} entries; expected {} (one per token)", kPrefix, kinds.size(),
           tokens.size());
  size_t bytes = 0;
  for (const std::string_view t : tokens) bytes += t.size();
  p.vocab.reserve(std::min(tokens.size(), static_cast<size_t>(Vocab::kMaxTokens)), bytes);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int64_t kind = kinds.empty() ? 1 : kinds[i];
    p.vocab.add(tokens[i],
                kind >= 1 && kind <= 6 ? static_cast<TokenKind>(kind) : TokenKind::normal);
  }
}

std::vector<float> read_gguf_scores(const GgufFile& file, const Vocab& vocab) {
  std::vector<float> scores = file.get_floats(gguf_key("scores"));
  LM_CHECK(scores.size() == static_cast<size_t>(vocab.size()), ErrorCode::bad_file,
           "load: {}scores has {} entries; expected {} (one per token)", kPrefix, scores.size(),
           vocab.size());
  return scores;
}

void read_gguf_added_tokens(const GgufFile& file, TokenizerParts& p, bool sentencepiece) {
  // Phi-3's tokens swallow the white space after them; GGUF has no field for that.
  const bool phi3 = sentencepiece && file.get_string("general.architecture").value_or("") == "phi3";
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < p.vocab.size(); ++id) {
    const TokenKind kind = p.vocab.kind(id);
    if (kind == TokenKind::control || kind == TokenKind::unknown) p.mark_special(id);
    if (kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::user_defined)
      continue;
    AddedToken token;
    token.text = p.vocab.text(id);
    token.id = id;
    token.special = kind != TokenKind::user_defined;
    token.rstrip = phi3 && token.text.starts_with("<|") && token.text != "<|endoftext|>";
    added.push_back(std::move(token));
  }
  p.added_raw = AddedTokens(std::move(added));
}

void read_gguf_special_ids(const GgufFile& file, TokenizerParts& p, bool add_bos, bool add_eos) {
  p.bos = gguf_special_id(file, p.vocab, "bos_token_id", p.bos);
  p.unk = gguf_special_id(file, p.vocab, "unknown_token_id", p.unk);
  p.pad = gguf_special_id(file, p.vocab, "padding_token_id", p.pad);
  const int32_t eos = gguf_special_id(file, p.vocab, "eos_token_id", p.eos.empty() ? -1 : p.eos[0]);
  p.eos.clear();
  p.add_eos(eos);
  for (const char* name : {"eot_token_id", "eom_token_id"})
    p.add_eos(gguf_special_id(file, p.vocab, name));
  if (file.get_bool(gguf_key("add_bos_token")).value_or(add_bos) && p.bos >= 0)
    p.prefix.push_back(p.bos);
  if (file.get_bool(gguf_key("add_eos_token")).value_or(add_eos) && eos >= 0)
    p.suffix.push_back(eos);
  const int32_t separator = gguf_special_id(file, p.vocab, "seperator_token_id");  // sic
  if (separator >= 0 && !p.suffix.empty()) {
    // Rerankers of the RoBERTa family: a separator of its own between the texts.
    for (const int32_t id : p.prefix) p.pair.push_back({id, 0});
    p.pair.push_back({TemplatePiece::kFirst, 0});
    for (const int32_t id : p.suffix) p.pair.push_back({id, 0});
    p.pair.push_back({separator, 0});
    p.pair.push_back({TemplatePiece::kSecond, 0});
    for (const int32_t id : p.suffix) p.pair.push_back({id, 0});
  }
  add_known_eos(p);
}

}  // namespace lm
