// Tokenizers of folders from before tokenizer.json: vocab.json with merges.txt (GPT-2, RoBERTa,
// Qwen), and BERT's vocab.txt. Source: transformers' tokenization_gpt2.py, tokenization_qwen2.py,
// tokenization_roberta.py, tokenization_bert.py.
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/gguf_pre_list.h"
#include "engine/text/hf_model.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"
#include "engine/text/unicode.h"
#include "engine/text/wordpiece.h"

namespace lm {

namespace {

// <s> text </s>, and <s> a </s></s> b </s>
void set_roberta_template(TokenizerParts& p) {
  const int32_t cls = p.vocab.find("<s>"), sep = p.vocab.find("</s>");
  if (cls < 0 || sep < 0) return;
  p.prefix = {cls};
  p.suffix = {sep};
  p.pair = {{cls, 0}, {TemplatePiece::kFirst, 0},  {sep, 0},
            {sep, 0}, {TemplatePiece::kSecond, 0}, {sep, 0}};
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_vocab_merges(std::string_view vocab,
                                                            std::string_view merges,
                                                            const std::string& name,
                                                            const std::string& tokenizer_class) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  const auto is = [&](const char* prefix) { return tokenizer_class.starts_with(prefix); };
  LM_CHECK(!is("CLIP"), ErrorCode::unsupported,
           "load: {} of class {} without tokenizer.json; expected GPT-2, RoBERTa or Qwen2 files",
           name, tokenizer_class);
  const nlohmann::json options = {{"type", "BPE"}};
  load_hf_model({options, vocab, merges, name}, true, p);
  // Files of this form do not name their pattern. 199,000 tokens and more: the o200k family.
  const char* family = is("Qwen2") ? "qwen2" : p.vocab.size() >= 199000 ? "gpt-4o" : "gpt-2";
  if (is("Qwen2")) p.normalizers.push_back(unicode_form(NormalForm::nfc));
  p.pre_tokenizers = make_pre_tokenizers(*find_gguf_pre_family(family));
  if (is("Roberta") || is("Bart") || is("Longformer")) set_roberta_template(p);
  set_byte_level_bytes(p.vocab);
  return parts;
}

std::unique_ptr<TokenizerParts> read_tokenizer_bert(std::string_view text, const std::string& name,
                                                    bool lowercase) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  p.kind = "wordpiece";
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    LM_CHECK(is_valid_utf8(line), ErrorCode::bad_file, "load: {}: token {} is not UTF-8", name,
             p.vocab.size());
    p.vocab.add(line);
  }
  const int32_t cls = p.vocab.find("[CLS]"), sep = p.vocab.find("[SEP]");
  LM_CHECK(cls >= 0 && sep >= 0, ErrorCode::bad_file,
           "load: {} has no tokens [CLS] and [SEP]; expected a BERT vocabulary", name);
  std::vector<AddedToken> added;
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const int32_t id = p.vocab.find(special);
    if (id < 0) continue;
    p.vocab.set_kind(id, TokenKind::control);
    p.mark_special(id);
    added.push_back({special, id, true});
  }
  p.added_raw = AddedTokens(std::move(added));
  p.prefix = {cls};
  p.suffix = {sep};
  p.bos = cls;
  p.unk = p.vocab.find("[UNK]");
  p.pad = p.vocab.find("[PAD]");
  p.normalizers.push_back(bert_normalizer({true, true, lowercase, lowercase}));
  p.pre_tokenizers = {split_whitespace(), split_punctuation(SplitBehavior::isolated)};
  p.vocab.set_bytes([&](int32_t id, std::string& out) {
    std::string token(p.vocab.text(id));
    wordpiece_text(token, "##", true);
    out += token;
  });
  p.leading_space = LeadingSpace::drop_one;
  WordPieceOptions options;
  options.max_chars_per_word = 100;
  options.unk = p.unk;
  p.model = std::make_unique<WordPiece>(p.vocab, options);
  return parts;
}

}  // namespace lm
