// Tokenizers from SentencePiece .model files. Source: google/sentencepiece
// src/sentencepiece_model.proto (field numbers and defaults), src/bpe_model.cc,
// src/unigram_model.cc.
#include <algorithm>

#include "engine/core/error.h"
#include "engine/text/protobuf.h"
#include "engine/text/scored_bpe.h"
#include "engine/text/sentencepiece_file.h"
#include "engine/text/sentencepiece_normalizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"
#include "engine/text/unicode.h"
#include "engine/text/unigram.h"

namespace lm {

namespace {

void read_piece(std::string_view message, const std::string& name, SentencePieceFile& m,
                Vocab& vocab) {
  std::string_view text;
  float score = 0;
  uint64_t kind = 1;
  ProtobufReader in(message, name);
  for (ProtobufReader::Field f; in.next(&f);) {
    if (f.number == 1) text = f.bytes;
    if (f.number == 2) score = f.as_float();
    if (f.number == 3) kind = f.value;
  }
  LM_CHECK(kind >= 1 && kind <= 6, ErrorCode::bad_file,
           "load: {}: piece {} is of type {}; expected 1 to 6", name, vocab.size(), kind);
  LM_CHECK(is_valid_utf8(text), ErrorCode::bad_file, "load: {}: piece {} is not UTF-8", name,
           vocab.size());
  vocab.add(text, static_cast<TokenKind>(kind));
  m.scores.push_back(score);
}

void read_trainer_spec(std::string_view message, const std::string& name, SentencePieceFile& m) {
  ProtobufReader in(message, name);
  for (ProtobufReader::Field f; in.next(&f);) {
    const auto id = static_cast<int32_t>(static_cast<int64_t>(f.value));
    if (f.number == 3) m.model_type = f.value;
    if (f.number == 24) m.rules.whitespace_as_suffix = f.value != 0;
    if (f.number == 35) m.byte_fallback = f.value != 0;
    if (f.number == 40) m.unk = id;
    if (f.number == 41) m.bos = id;
    if (f.number == 42) m.eos = id;
    if (f.number == 43) m.pad = id;
    if (f.number == 44) m.unk_surface = f.bytes;
  }
}

void read_normalizer_spec(std::string_view message, const std::string& name, SentencePieceFile& m) {
  ProtobufReader in(message, name);
  for (ProtobufReader::Field f; in.next(&f);) {
    if (f.number == 2) m.charsmap = f.bytes;
    if (f.number == 3) m.rules.add_dummy_prefix = f.value != 0;
    if (f.number == 4) m.rules.remove_extra_whitespaces = f.value != 0;
    if (f.number == 5) m.rules.escape_whitespaces = f.value != 0;
  }
}

}  // namespace

SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& name,
                                          Vocab& vocab) {
  SentencePieceFile m;
  ProtobufReader in(bytes, name);
  for (ProtobufReader::Field f; in.next(&f);) {
    if (f.number == 1) read_piece(f.bytes, name, m, vocab);
    if (f.number == 2) read_trainer_spec(f.bytes, name, m);
    if (f.number == 3) read_normalizer_spec(f.bytes, name, m);
  }
  LM_CHECK(vocab.size() > 0, ErrorCode::bad_file,
           "load: {} has no pieces; expected a SentencePiece model", name);
  for (int32_t* id : {&m.unk, &m.bos, &m.eos, &m.pad}) {
    if (!vocab.contains(*id)) *id = -1;
  }
  return m;
}

namespace {

// User-defined pieces are found in the normalised text; control pieces only where special tokens
// are asked for.
void set_added_tokens(TokenizerParts& p, bool split_user_defined) {
  std::vector<AddedToken> control, user;
  for (int32_t id = 0; id < p.vocab.size(); ++id) {
    const TokenKind kind = p.vocab.kind(id);
    AddedToken token;
    token.text = p.vocab.text(id);
    token.id = id;
    token.special = true;
    if (kind == TokenKind::control || kind == TokenKind::unknown) {
      control.push_back(token);
      if (kind == TokenKind::control) p.mark_special(id);
    } else if (kind == TokenKind::user_defined) {
      token.special = false;
      user.push_back(token);
    }
  }
  p.added_raw = AddedTokens(std::move(control));
  if (split_user_defined) p.added_normalized = AddedTokens(std::move(user));
}

std::unique_ptr<TokenModel> make_bpe(const TokenizerParts& p, const SentencePieceFile& m) {
  ScoredBpeOptions options;
  options.byte_fallback = m.byte_fallback;
  options.unk = m.unk;
  return std::make_unique<ScoredBpe>(p.vocab, m.scores, options);
}

std::unique_ptr<TokenModel> make_unigram(const TokenizerParts& p, const SentencePieceFile& m) {
  std::vector<double> scores(m.scores.begin(), m.scores.end());
  std::vector<bool> takes_part(scores.size());
  bool any = false;
  float lowest = 0, highest = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (p.vocab.kind(static_cast<int32_t>(i)) != TokenKind::normal) continue;
    lowest = any ? std::min(lowest, m.scores[i]) : m.scores[i];
    highest = any ? std::max(highest, m.scores[i]) : m.scores[i];
    any = takes_part[i] = true;
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (p.vocab.kind(id) != TokenKind::user_defined) continue;
    // Better than any other way to cover these bytes.
    scores[i] = static_cast<double>(static_cast<float>(p.vocab.text(id).size()) * highest) - 0.1;
    takes_part[i] = true;
  }
  UnigramOptions options;
  options.unk = m.unk;
  options.unk_score = static_cast<double>(lowest - 10.0F);
  options.byte_fallback = m.byte_fallback;
  options.single_precision = true;
  return std::make_unique<Unigram>(p.vocab, std::move(scores), takes_part, options);
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_sentencepiece(std::string_view bytes,
                                                             const std::string& name) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  const SentencePieceFile m = read_sentencepiece_file(bytes, name, p.vocab);
  LM_CHECK(m.model_type == SentencePieceFile::kUnigram || m.model_type == SentencePieceFile::kBpe,
           ErrorCode::unsupported,
           "load: {} is a SentencePiece model of type {}; expected 1 (unigram) or 2 (BPE)", name,
           m.model_type);
  const bool bpe = m.model_type == SentencePieceFile::kBpe;
  p.kind = bpe ? "bpe (SentencePiece)" : "unigram (SentencePiece)";
  p.unk = m.unk;
  p.bos = m.bos;
  p.pad = m.pad;
  p.add_eos(m.eos);
  p.vocab.set_bytes([&](int32_t id, std::string& out) {
    const TokenKind kind = p.vocab.kind(id);
    if (kind == TokenKind::unknown) {
      out += m.unk_surface;
    } else {
      append_sentencepiece_bytes(p.vocab.text(id), out);
    }
  });
  set_added_tokens(p, bpe);
  std::vector<Trie::Entry> kept;
  for (int32_t id = 0; id < p.vocab.size(); ++id) {
    if (p.vocab.kind(id) == TokenKind::user_defined) kept.push_back({p.vocab.text(id), id});
  }
  p.normalizers.push_back(sentencepiece_normalizer(
      std::make_shared<const CharsMap>(m.charsmap),
      kept.empty() ? nullptr : std::make_shared<const Trie>(std::move(kept)), m.rules));
  if (m.rules.add_dummy_prefix || m.rules.remove_extra_whitespaces)
    p.leading_space = LeadingSpace::drop_one;
  // The file does not say what a model wants around a text: language models (BPE) their BOS, the
  // T5 family, which has none, its EOS.
  if (p.bos >= 0) {
    p.prefix.push_back(p.bos);
  } else if (!bpe && !p.eos.empty()) {
    p.suffix.push_back(p.eos[0]);
  }
  p.model = bpe ? make_bpe(p, m) : make_unigram(p, m);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_sentencepiece(std::string_view bytes,
                                                              const std::string& name) {
  std::unique_ptr<TokenizerParts> parts = read_tokenizer_sentencepiece(bytes, name);
  add_known_eos(*parts);
  return std::make_shared<const Tokenizer>(std::move(parts));
}

}  // namespace lm
