// Tokenizers from a Hugging Face tokenizer.json. Source of names and behaviour:
// huggingface/tokenizers.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"
#include "engine/text/bpe.h"
#include "engine/text/hf_json.h"
#include "engine/text/hf_steps.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

using nlohmann::json;

namespace {

// {"token": id, ...} -> vocabulary. Ids may have holes (added tokens fill some of them later).
void read_vocab(const json& vocab, Vocab& out) {
  LM_CHECK(vocab.is_object() && !vocab.empty(), ErrorCode::bad_file,
           "load: model.vocab is {}; expected an object of ids", vocab.type_name());
  std::vector<std::pair<int32_t, const std::string*>> tokens;
  tokens.reserve(vocab.size());
  size_t bytes = 0;
  int32_t top = 0;
  for (auto it = vocab.begin(); it != vocab.end(); ++it) {
    const int32_t id = json_id(it.value(), "model.vocab", Vocab::kMaxTokens);
    tokens.emplace_back(id, &it.key());
    bytes += it.key().size();
    top = std::max(top, id);
  }
  std::sort(tokens.begin(), tokens.end());
  out.reserve(static_cast<size_t>(top) + 1, bytes + bytes / 8);
  for (const auto& [id, text] : tokens) {
    LM_CHECK(id >= out.size(), ErrorCode::bad_file, "load: id {} stands for both \"{}\" and \"{}\"",
             id, out.text(id), *text);
    out.pad_to(id);
    out.add(*text);
  }
}

MergeTable read_merges(const json& merges, const Vocab& vocab) {
  MergeTable table;
  if (merges.is_null()) return table;
  LM_CHECK(merges.is_array(), ErrorCode::bad_file, "load: model.merges is {}; expected a list",
           merges.type_name());
  table.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const json& merge = merges[rank];
    std::string_view left, right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    } else {
      LM_CHECK(merge.is_string(), ErrorCode::bad_file,
               "load: model.merges[{}] is {}; expected two tokens", rank, merge.type_name());
      const std::string_view text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      LM_CHECK(space != text.npos, ErrorCode::bad_file,
               "load: model.merges[{}] is \"{}\"; expected two tokens and a space", rank, text);
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
    joined.assign(left).append(right);
    const int32_t l = vocab.find(left), r = vocab.find(right), whole = vocab.find(joined);
    LM_CHECK(l >= 0 && r >= 0 && whole >= 0, ErrorCode::bad_file,
             "load: model.merges[{}] joins \"{}\" and \"{}\"; expected tokens of the vocabulary, "
             "\"{}\" as well",
             rank, left, right, joined);
    table.insert(l, r, {static_cast<uint32_t>(rank), whole});
  }
  return table;
}

void load_bpe(const json& model, bool byte_level, TokenizerParts& p) {
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::string value = json_string(model, name, "");
    LM_CHECK(value.empty(), ErrorCode::unsupported, "load: BPE with {} \"{}\"; expected none", name,
             value);
  }
  read_vocab(json_field(model, "vocab"), p.vocab);
  BpeOptions options;
  options.byte_level = byte_level;
  options.byte_fallback = json_bool(model, "byte_fallback", false);
  options.fuse_unk = json_bool(model, "fuse_unk", false);
  options.ignore_merges = json_bool(model, "ignore_merges", false);
  const std::string unk = json_string(model, "unk_token", "");
  if (!unk.empty()) options.unk = p.unk = p.vocab.find(unk);
  p.kind = byte_level              ? "bpe (byte level)"
           : options.byte_fallback ? "bpe (SentencePiece)"
                                   : "bpe (characters)";
  p.model =
      std::make_unique<Bpe>(p.vocab, read_merges(json_field(model, "merges"), p.vocab), options);
}

struct ModelRow {
  const char* type;
  void (*load)(const json& model, bool byte_level, TokenizerParts& parts);
};
// Add a kind: its loader in a file of its own, one row here.
constexpr ModelRow kModels[] = {{"BPE", load_bpe}};

// Files of before 2020 have no type; a merge list means BPE.
std::string model_type(const json& model) {
  if (!json_field(model, "type").is_null()) return json_string(model, "type");
  if (model.contains("merges")) return "BPE";
  return json_field(model, "vocab").is_array() ? "Unigram" : "WordPiece";
}

void read_added_tokens(const json& list, TokenizerParts& p) {
  if (list.is_null()) return;
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: added_tokens is {}; expected a list",
           list.type_name());
  std::vector<AddedToken> raw, normalized;
  for (const json& entry : list) {
    AddedToken t;
    t.text = json_string(entry, "content");
    t.id = json_id(json_field(entry, "id"), "added_tokens.id", Vocab::kMaxTokens);
    t.special = json_bool(entry, "special", false);
    t.lstrip = json_bool(entry, "lstrip", false);
    t.rstrip = json_bool(entry, "rstrip", false);
    t.single_word = json_bool(entry, "single_word", false);
    if (t.text.empty()) continue;
    const TokenKind kind = t.special ? TokenKind::control : TokenKind::user_defined;
    if (const int32_t known = p.vocab.find(t.text); known >= 0)
      t.id = known;  // the model's id wins, as in Hugging Face's
    if (t.id >= p.vocab.size()) p.vocab.pad_to(t.id + 1);
    if (p.vocab.text(t.id).empty()) p.vocab.fill(t.id, t.text, kind);
    p.vocab.set_kind(t.id, kind);
    if (t.special) p.mark_special(t.id);
    if (json_bool(entry, "normalized", !t.special)) {
      for (const Normalizer& normalize : p.normalizers) normalize(t.text);
      normalized.push_back(std::move(t));
    } else {
      raw.push_back(std::move(t));
    }
  }
  p.added_raw = AddedTokens(std::move(raw));
  p.added_normalized = AddedTokens(std::move(normalized));
}

void check_ids(const std::vector<int32_t>& ids, const Vocab& vocab) {
  for (const int32_t id : ids) {
    LM_CHECK(vocab.contains(id), ErrorCode::bad_file,
             "load: the post_processor adds id {}; expected 0 to {}", id, vocab.size() - 1);
  }
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_json(std::string_view text,
                                                    const std::string& name) {
  const json root = parse_json(text, name);
  LM_CHECK(root.is_object(), ErrorCode::bad_file, "load: {} holds {}; expected an object", name,
           root.type_name());
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  const json& model = json_field(root, "model");
  LM_CHECK(model.is_object(), ErrorCode::bad_file, "load: {} has no \"model\" object", name);
  std::string known;
  const std::string type = model_type(model);
  const ModelRow* row = nullptr;
  for (const ModelRow& r : kModels) {
    if (type == r.type) row = &r;
    known.append(known.empty() ? "" : ", ").append(r.type);
  }
  LM_CHECK(row != nullptr, ErrorCode::unsupported,
           "load: {} has a tokenizer model \"{}\"; expected {}", name, type, known);
  bool byte_level = false;
  add_normalizers(json_field(root, "normalizer"), p);
  add_pre_tokenizers(json_field(root, "pre_tokenizer"), p, &byte_level);
  row->load(model, byte_level, p);
  read_added_tokens(json_field(root, "added_tokens"), p);
  add_post_processor(json_field(root, "post_processor"), p);
  check_ids(p.prefix, p.vocab);
  check_ids(p.suffix, p.vocab);
  add_decoder(json_field(root, "decoder"), p, byte_level);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_json(std::string_view json_text,
                                                     const std::string& name) {
  std::unique_ptr<TokenizerParts> parts = read_tokenizer_json(json_text, name);
  if (parts->bos < 0 && !parts->prefix.empty()) parts->bos = parts->prefix[0];
  add_known_eos(*parts);
  return std::make_shared<const Tokenizer>(std::move(parts));
}

}  // namespace lm
