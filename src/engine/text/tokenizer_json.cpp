// Tokenizers from a Hugging Face tokenizer.json. Source of names and behaviour:
// huggingface/tokenizers.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"
#include "engine/text/hf_json.h"
#include "engine/text/hf_model.h"
#include "engine/text/hf_steps.h"
#include "engine/text/json_reader.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

using nlohmann::json;

namespace {

// The root object without the two long lists of its model, which stay as text.
struct Root {
  json object;
  std::string_view vocab, merges;
};

Root read_root(std::string_view text, const std::string& name) {
  Root root;
  std::string rest = "{";
  const auto add_member = [&](std::string_view key, std::string_view value) {
    if (rest.back() != '{') rest += ',';
    rest.append(json(key).dump()).append(":").append(value);
  };
  JsonReader in(text, name);
  in.begin_object();
  for (std::string_view key; in.next_key(&key);) {
    if (key != "model" || in.peek() != '{') {
      const std::string owned(key);
      add_member(owned, in.skip_value());
      continue;
    }
    add_member("model", "{");
    in.begin_object();
    for (std::string_view member; in.next_key(&member);) {
      const std::string owned(member);
      const std::string_view value = in.skip_value();
      if (owned == "vocab") {
        root.vocab = value;
      } else if (owned == "merges") {
        root.merges = value;
      } else {
        add_member(owned, value);
      }
    }
    rest += '}';
  }
  in.end();
  rest += '}';
  root.object = parse_json(rest, name);
  return root;
}

void check_ids(const std::vector<int32_t>& ids, const Vocab& vocab) {
  for (const int32_t id : ids) {
    LM_CHECK(vocab.contains(id), ErrorCode::bad_file,
             "load: the post_processor adds id {}; expected 0 to {}", id, vocab.size() - 1);
  }
}

}  // namespace

void add_hf_added_tokens(const json& list, TokenizerParts& p) {
  if (list.is_null()) return;
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: added_tokens is {}; expected a list",
           list.type_name());
  std::vector<AddedToken> raw = p.added_raw.tokens(), normalized = p.added_normalized.tokens();
  std::unordered_set<std::string> known;
  for (const auto* tokens : {&raw, &normalized}) {
    for (const AddedToken& t : *tokens) known.insert(t.text);
  }
  for (const json& entry : list) {
    AddedToken t;
    t.text = json_string(entry, "content");
    t.id = json_id(json_field(entry, "id"), "added_tokens.id", Vocab::kMaxTokens);
    t.special = json_bool(entry, "special", false);
    t.lstrip = json_bool(entry, "lstrip", false);
    t.rstrip = json_bool(entry, "rstrip", false);
    t.single_word = json_bool(entry, "single_word", false);
    if (t.text.empty() || known.contains(t.text)) continue;
    const TokenKind kind = t.special ? TokenKind::control : TokenKind::user_defined;
    if (const int32_t own = p.vocab.find(t.text); own >= 0)
      t.id = own;  // the model's id wins, as in Hugging Face's
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

std::unique_ptr<TokenizerParts> read_tokenizer_json(std::string_view text, const std::string& name,
                                                    const json* more_added) {
  const Root file = read_root(text, name);
  const json& root = file.object;
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  const json& model = json_field(root, "model");
  LM_CHECK(model.is_object(), ErrorCode::bad_file, "load: {} has no \"model\" object", name);
  bool byte_level = add_normalizers(json_field(root, "normalizer"), p);
  byte_level = add_pre_tokenizers(json_field(root, "pre_tokenizer"), p, byte_level);
  load_hf_model({model, file.vocab, file.merges, name}, byte_level, p);
  add_hf_added_tokens(json_field(root, "added_tokens"), p);
  if (more_added != nullptr) add_hf_added_tokens(*more_added, p);
  add_post_processor(json_field(root, "post_processor"), p);
  check_ids(p.prefix, p.vocab);
  check_ids(p.suffix, p.vocab);
  for (const TemplatePiece& piece : p.pair) {
    if (piece.id >= 0) check_ids({piece.id}, p.vocab);
  }
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
