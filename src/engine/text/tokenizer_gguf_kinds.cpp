// The tokenizers of GGUF files that are no BPE: t5 (Unigram), bert (WordPiece), rwkv, none. Source
// of the metadata's meaning: llama.cpp src/llama-vocab.cpp.
#include <algorithm>

#include "engine/core/error.h"
#include "engine/text/gguf_vocab.h"
#include "engine/text/greedy.h"
#include "engine/text/sentencepiece_normalizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unigram.h"
#include "engine/text/wordpiece.h"

namespace lm {

namespace {

// The character map's bytes, an array of 8-bit integers.
std::string_view charsmap_bytes(const GgufFile& file) {
  const GgufValue* value = file.find(gguf_key("precompiled_charsmap"));
  if (value == nullptr) return {};
  LM_CHECK(value->is_array && (value->type == GgufType::u8 || value->type == GgufType::i8),
           ErrorCode::bad_file,
           "load: tokenizer.ggml.precompiled_charsmap is not an array of bytes");
  return {reinterpret_cast<const char*>(value->data.data()), value->data.size()};
}

}  // namespace

void load_gguf_unigram(const GgufFile& file, TokenizerParts& p) {
  p.kind = "unigram";
  read_gguf_vocab(file, p);
  const std::vector<float> given = read_gguf_scores(file, p.vocab);
  std::vector<double> scores(given.begin(), given.end());
  std::vector<bool> takes_part(scores.size());
  std::vector<Trie::Entry> kept;
  double lowest = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const TokenKind kind = p.vocab.kind(id);
    takes_part[i] =
        kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::unused;
    if (kind == TokenKind::normal) lowest = std::min(lowest, scores[i]);
    if (kind != TokenKind::user_defined) continue;
    scores[i] = 0;  // any other score is below: such a token is always taken
    kept.push_back({p.vocab.text(id), id});
  }
  set_sentencepiece_bytes(p.vocab);
  read_gguf_added_tokens(file, p, true);
  SentencePieceRules rules;
  rules.add_dummy_prefix = file.get_bool(gguf_key("add_space_prefix")).value_or(false);
  rules.remove_extra_whitespaces =
      file.get_bool(gguf_key("remove_extra_whitespaces")).value_or(false);
  if (rules.add_dummy_prefix) p.leading_space = LeadingSpace::drop_one;
  p.normalizers.push_back(
      sentencepiece_normalizer(std::make_shared<const CharsMap>(charsmap_bytes(file)),
                               std::make_shared<const Trie>(std::move(kept)), rules));
  p.eos = {1};
  p.unk = 2;
  p.pad = 0;
  read_gguf_special_ids(file, p, false, true);
  UnigramOptions options;
  options.unk = p.unk;
  options.unk_score = lowest - 10;
  p.model = std::make_unique<Unigram>(p.vocab, std::move(scores), takes_part, options);
}

// The converter wrote "##ing" as "ing" and "the" as "▁the": a phantom space begins each word.
void load_gguf_bert(const GgufFile& file, TokenizerParts& p) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  p.kind = "wordpiece";
  read_gguf_vocab(file, p);
  p.vocab.set_bytes([&](int32_t id, std::string& out) {
    const std::string_view text = p.vocab.text(id);
    const bool begins = text.starts_with(kSpace);
    if (begins && text.size() > kSpace.size()) {
      out.append(" ").append(text.substr(kSpace.size()));
    } else {
      out += text;
    }
  });
  p.leading_space = LeadingSpace::drop_one;
  read_gguf_added_tokens(file, p, false);
  p.bos = 101;
  p.unk = 100;
  p.pad = 0;
  read_gguf_special_ids(file, p, true, false);
  const int32_t separator = gguf_special_id(file, p.vocab, "seperator_token_id", 102);  // sic
  if (file.get_bool(gguf_key("add_sep_token")).value_or(true) && separator >= 0)
    p.suffix = {separator};
  p.pair.clear();
  for (const int32_t id : p.prefix) p.mark_special(id);
  for (const int32_t id : p.suffix) p.mark_special(id);
  BertRules rules;
  rules.lowercase = file.get_bool(gguf_key("normalizer.lowercase")).value_or(true);
  rules.strip_accents =
      file.get_bool(gguf_key("normalizer.strip_accents")).value_or(rules.lowercase);
  p.normalizers.push_back(bert_normalizer(rules));
  p.pre_tokenizers = {split_whitespace(), split_punctuation(SplitBehavior::isolated)};
  WordPieceOptions options;
  options.first_prefix = kSpace;
  options.continuing_prefix = "";
  options.unk = p.unk;
  p.model = std::make_unique<WordPiece>(p.vocab, options);
}

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Tokens are written with \t \n \r \xNN and \\ for bytes that text cannot hold.
void append_unescaped(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'x' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
    }
  }
}

}  // namespace

void load_gguf_rwkv(const GgufFile& file, TokenizerParts& p) {
  p.kind = "rwkv";
  read_gguf_vocab(file, p);
  p.vocab.set_bytes([&](int32_t id, std::string& out) { append_unescaped(p.vocab.text(id), out); });
  read_gguf_added_tokens(file, p, false);
  read_gguf_special_ids(file, p, false, false);
  p.model = std::make_unique<Greedy>(p.vocab, p.unk);
}

namespace {

// Stands where a file has no vocabulary: such a model is used by ids only.
class NoModel : public TokenModel {
 public:
  void encode(const Words&, std::vector<int32_t>&) const override {
    raise(ErrorCode::unsupported, "tokenize: the model has no tokenizer; expected token ids");
  }
};

}  // namespace

void fill_no_tokenizer(int64_t size, TokenizerParts& p) {
  p.kind = "none";
  p.warning = "the model has no tokenizer; it takes token ids, not texts";
  p.vocab.pad_to(static_cast<int32_t>(size));
  p.vocab.set_bytes([](int32_t, std::string&) {});
  p.model = std::make_unique<NoModel>();
}

void load_gguf_none(const GgufFile& file, TokenizerParts& p) {
  const std::string_view arch = file.get_string("general.architecture").value_or("");
  const int64_t size = file.get_int(std::string(arch) + ".vocab_size").value_or(0);
  LM_CHECK(size >= 0 && size <= Vocab::kMaxTokens, ErrorCode::bad_file,
           "load: {}.vocab_size is {}; expected 0 to {}", arch, size, Vocab::kMaxTokens);
  fill_no_tokenizer(size, p);
}

std::shared_ptr<const Tokenizer> no_tokenizer(int64_t size) {
  LM_CHECK(size >= 0 && size <= Vocab::kMaxTokens, ErrorCode::bad_file,
           "load: a vocabulary of {}; expected 0 to {}", size, Vocab::kMaxTokens);
  auto parts = std::make_unique<TokenizerParts>();
  fill_no_tokenizer(size, *parts);
  return std::make_shared<const Tokenizer>(std::move(parts));
}

}  // namespace lm
