#include "engine/text/tokenizer.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/text/tokenizer_parts.h"
#include "engine/text/unicode.h"

namespace lm {

Tokenizer::Tokenizer(std::unique_ptr<TokenizerParts> parts) : parts_(std::move(parts)) {
  parts_->special.resize(static_cast<size_t>(parts_->vocab.size()));
}
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TokenizerParts& p = *parts_;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  if (options.add_special) ids.insert(ids.end(), p.prefix.begin(), p.prefix.end());
  append_ids(text, options.parse_special, ids);
  if (options.add_special) ids.insert(ids.end(), p.suffix.begin(), p.suffix.end());
  return ids;
}

EncodedPair Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                   const EncodeOptions& options) const {
  const TokenizerParts& p = *parts_;
  std::vector<TemplatePiece> pieces = p.pair;
  const auto add_tokens = [&](const std::vector<int32_t>& ids, uint8_t type) {
    for (const int32_t id : ids) pieces.push_back({id, type});
  };
  if (!options.add_special) {
    pieces = {{TemplatePiece::kFirst, 0}, {TemplatePiece::kSecond, 1}};
  } else if (pieces.empty()) {
    add_tokens(p.prefix, 0);
    pieces.push_back({TemplatePiece::kFirst, 0});
    add_tokens(p.suffix, 0);
    pieces.push_back({TemplatePiece::kSecond, 1});
    add_tokens(p.suffix, 1);
  }
  EncodedPair out;
  for (const TemplatePiece& piece : pieces) {
    if (piece.id >= 0) {
      out.ids.push_back(piece.id);
    } else {
      append_ids(piece.id == TemplatePiece::kFirst ? first : second, options.parse_special,
                 out.ids);
    }
    out.type_ids.resize(out.ids.size(), piece.type_id);
  }
  return out;
}

void Tokenizer::append_ids(std::string_view text, bool parse_special,
                           std::vector<int32_t>& ids) const {
  LM_CHECK(text.size() < (size_t{1} << 31), ErrorCode::bad_option,
           "tokenize: a text of {} bytes; expected less than 2147483648", text.size());
  const TokenizerParts& p = *parts_;
  std::vector<AddedTokens::Part> raw, normalized;
  p.added_raw.split(text, parse_special, raw);
  Words words;
  for (const AddedTokens::Part& part : raw) {
    if (part.token != nullptr) {
      ids.push_back(part.token->id);
      continue;
    }
    std::string changed;
    std::string_view stretch = part.text;
    if (!p.normalizers.empty()) {
      changed = part.text;
      for (const Normalizer& normalize : p.normalizers) normalize(changed);
      stretch = changed;
    }
    normalized.clear();
    p.added_normalized.split(stretch, parse_special, normalized);
    for (const AddedTokens::Part& piece : normalized) {
      if (piece.token != nullptr) {
        ids.push_back(piece.token->id);
        continue;
      }
      words.text.assign(piece.text);
      words.spans.assign(1, {0, static_cast<uint32_t>(piece.text.size())});
      words.at_text_start = part.text.data() == text.data() && piece.text.data() == stretch.data();
      for (const PreTokenizer& pre_tokenize : p.pre_tokenizers) pre_tokenize(words);
      p.model->encode(words, ids);
    }
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  bool at_start = strips_leading_space();
  for (const int32_t id : ids) {
    check_id("detokenize", id);
    if (skip_special && is_special(id)) continue;
    std::string_view bytes = parts_->vocab.bytes(id);
    if (at_start && !bytes.empty()) {
      bytes = without_leading_space(bytes);
      at_start = false;
    }
    out += bytes;
  }
  if (strips_trailing_space() && out.ends_with(' ')) out.pop_back();
  return is_valid_utf8(out) ? out : replace_invalid_utf8(out);
}

std::string_view Tokenizer::without_leading_space(std::string_view bytes) const {
  if (parts_->leading_space == LeadingSpace::keep || !bytes.starts_with(' ')) return bytes;
  if (parts_->leading_space == LeadingSpace::drop_one) return bytes.substr(1);
  return bytes.substr(std::min(bytes.find_first_not_of(' '), bytes.size()));
}

void Tokenizer::check_id(const char* function, int32_t id) const {
  LM_CHECK(parts_->vocab.contains(id), ErrorCode::bad_option, "{}: token id {}; expected 0 to {}",
           function, id, size() - 1);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  check_id("token_bytes", id);
  return parts_->vocab.bytes(id);
}

std::string_view Tokenizer::token_text(int32_t id) const {
  check_id("token_text", id);
  return parts_->vocab.text(id);
}

int32_t Tokenizer::id_of(std::string_view text) const {
  return parts_->vocab.find(text);
}
int32_t Tokenizer::size() const {
  return parts_->vocab.size();
}
int32_t Tokenizer::bos() const {
  return parts_->bos;
}
int32_t Tokenizer::pad() const {
  return parts_->pad;
}
int32_t Tokenizer::unk() const {
  return parts_->unk;
}
const std::vector<int32_t>& Tokenizer::eos() const {
  return parts_->eos;
}
bool Tokenizer::is_eos(int32_t id) const {
  return std::find(parts_->eos.begin(), parts_->eos.end(), id) != parts_->eos.end();
}
bool Tokenizer::is_special(int32_t id) const {
  return parts_->vocab.contains(id) && parts_->special[static_cast<size_t>(id)];
}
bool Tokenizer::add_bos() const {
  return !parts_->prefix.empty() && parts_->prefix[0] == parts_->bos;
}
bool Tokenizer::strips_leading_space() const {
  return parts_->leading_space != LeadingSpace::keep;
}
bool Tokenizer::strips_trailing_space() const {
  return parts_->strip_trailing_space;
}
const std::string& Tokenizer::kind() const {
  return parts_->kind;
}
const std::string& Tokenizer::warning() const {
  return parts_->warning;
}

void set_byte_level_bytes(Vocab& vocab) {
  vocab.set_bytes([&](int32_t id, std::string& out) {
    if (!append_byte_level_bytes(out, vocab.text(id))) out += vocab.text(id);
  });
}

int byte_token_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

void append_sentencepiece_bytes(std::string_view text, std::string& out) {
  constexpr std::string_view kMetaspace = "\xE2\x96\x81";
  if (const int byte = byte_token_value(text); byte >= 0) {
    out.push_back(static_cast<char>(byte));
    return;
  }
  for (size_t at = text.find(kMetaspace); at != text.npos; at = text.find(kMetaspace)) {
    out.append(text.substr(0, at)).append(" ");
    text.remove_prefix(at + kMetaspace.size());
  }
  out += text;
}

void set_sentencepiece_bytes(Vocab& vocab) {
  vocab.set_bytes(
      [&](int32_t id, std::string& out) { append_sentencepiece_bytes(vocab.text(id), out); });
}

void wordpiece_text(std::string& token, std::string_view prefix, bool cleanup) {
  if (token.starts_with(prefix)) {
    token.erase(0, prefix.size());
  } else {
    token.insert(0, " ");
  }
  if (!cleanup) return;
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) {
    for (size_t at = token.find(from); at != token.npos; at = token.find(from, at + to.size()))
      token.replace(at, from.size(), to);
  }
}

void add_known_eos(TokenizerParts& parts) {
  // Chat formats end a turn with these; files often name only the end of text.
  constexpr std::string_view kNames[] = {
      "<|eot_id|>", "<|im_end|>",      "<|end|>", "<end_of_turn>",        "<|endoftext|>",
      "<|eom_id|>", "<|end_of_text|>", "<EOT>",   "<|END_OF_TURN_TOKEN|>"};
  for (const std::string_view name : kNames) {
    const int32_t id = parts.vocab.find(name);
    if (id >= 0 && id < static_cast<int32_t>(parts.special.size()) &&
        parts.special[static_cast<size_t>(id)]) {
      parts.add_eos(id);
    }
  }
}

}  // namespace lm
