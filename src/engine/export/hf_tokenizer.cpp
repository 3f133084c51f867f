// tokenizer.json as the tokenizer.ggml.* keys of GGUF. Source: ggml docs/gguf.md; what llama.cpp's
// loader makes of the keys.
#include "engine/export/hf_tokenizer.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_model.h"
#include "engine/formats/json_file.h"
#include "engine/text/base64.h"
#include "engine/text/gguf_pre_list.h"
#include "engine/text/pre_tokenize.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kSpace = "\xE2\x96\x81";  // "▁"

json at(const json& object, const char* name) {
  const auto it = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && it != object.end() ? *it : json();
}

std::string type_of(const json& step) {
  const json t = at(step, "type");
  return t.is_string() ? t.get<std::string>() : "";
}

// The steps of a normalizer or pre-tokenizer that may be a sequence.
std::vector<json> steps_of(const json& step, const char* list) {
  if (!step.is_object()) return {};
  if (type_of(step) != "Sequence") return {step};
  std::vector<json> out;
  for (const json& s : at(step, list)) out.push_back(s);
  return out;
}

bool is_byte_token(const std::string& t) {
  return t.size() == 6 && t.starts_with("<0x") && t[5] == '>';
}

// The patterns of a byte-level pre-tokenizer, as text/gguf_pre_list.h lists them; false when a step
// has no pattern.
bool byte_level_patterns(const json& pre, std::vector<std::string>* out) {
  bool byte_level = false;
  for (const json& step : steps_of(pre, "pretokenizers")) {
    const std::string type = type_of(step);
    if (type == "ByteLevel") {
      byte_level = true;
      if (at(step, "use_regex") != json(false)) out->push_back(word_split_pattern(WordSplit::gpt2));
    } else if (type == "Digits") {
      out->push_back(at(step, "individual_digits") == json(true) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split" && at(at(step, "pattern"), "Regex").is_string()) {
      out->push_back(at(at(step, "pattern"), "Regex").get<std::string>());
    } else {
      return false;
    }
  }
  return byte_level;
}

class TokenizerKeys {
 public:
  TokenizerKeys(const std::string& folder, int64_t vocab_size, GgufMetadata* m)
      : folder_(folder),
        text_(read_file(folder + "/tokenizer.json")),
        root_(parse_json(text_, folder + "/tokenizer.json")),
        model_(at(root_, "model")),
        m_(m) {
    read_vocab(static_cast<size_t>(vocab_size));
    mark_added();
  }

  void write() {
    // Older files do not name the kind.
    const std::string type = type_of(model_);
    if (type == "WordPiece")
      write_wordpiece();
    else if (type == "Unigram" || (type.empty() && at(model_, "vocab").is_array()))
      write_unigram();
    else if (at(model_, "merges").is_array() && at(model_, "byte_fallback") == json(true))
      write_sentencepiece();
    else
      write_byte_level();
    m_->set_strings("tokenizer.ggml.tokens", tokens_);
    if (!scores_.empty()) m_->set_floats("tokenizer.ggml.scores", scores_);
    m_->set_i32s("tokenizer.ggml.token_type", types_);
    set_special_keys(folder_, type == "WordPiece", m_);
    m_->set_string("tokenizer.huggingface.json", text_);
  }

 private:
  void set_token(size_t id, const std::string& token) {
    LM_CHECK(id < (size_t{1} << 24), ErrorCode::bad_file, "tokenizer.json: token id {}", id);
    while (tokens_.size() <= id) {
      tokens_.push_back("[PAD" + std::to_string(tokens_.size()) + "]");
      types_.push_back(kUnused);
    }
    tokens_[id] = token;
    types_[id] = kNormal;
  }

  void read_vocab(size_t vocab_size) {
    const json vocab = at(model_, "vocab");
    if (vocab.is_array()) {
      for (size_t i = 0; i < vocab.size(); ++i) set_token(i, vocab[i].at(0).get<std::string>());
    } else {
      for (const auto& [token, id] : vocab.items()) set_token(id.get<size_t>(), token);
    }
    for (const json& a : at(root_, "added_tokens"))
      set_token(at(a, "id").get<size_t>(), at(a, "content").get<std::string>());
    LM_CHECK(tokens_.size() <= vocab_size, ErrorCode::bad_file,
             "tokenizer.json has {} tokens; the embedding has {} rows", tokens_.size(), vocab_size);
    while (tokens_.size() < vocab_size) {
      const size_t id = tokens_.size();
      set_token(id, "[PAD" + std::to_string(id) + "]");
      types_[id] = kUnused;
    }
  }

  void mark_added() {
    for (const json& a : at(root_, "added_tokens")) {
      const auto id = at(a, "id").get<size_t>();
      const bool special = at(a, "special") == json(true);
      types_[id] = special ? kControl : kUser;
    }
  }

  void write_byte_level() {
    std::vector<std::string> patterns, merges;
    const bool nfc = type_of(at(root_, "normalizer")) == "NFC";
    const std::string pre =
        byte_level_patterns(at(root_, "pre_tokenizer"), &patterns)
            ? gguf_pre_name(patterns, at(model_, "ignore_merges") == json(true), nfc)
            : "";
    LM_CHECK(!pre.empty(), ErrorCode::unsupported,
             "{}/tokenizer.json cuts text in a way that GGUF has no name for; the model cannot be "
             "converted with its tokenizer",
             folder_);
    for (const json& merge : at(model_, "merges"))
      merges.push_back(merge.is_string()
                           ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
    m_->set_string("tokenizer.ggml.model", "gpt2");
    m_->set_string("tokenizer.ggml.pre", pre);
    m_->set_strings("tokenizer.ggml.merges", merges);
  }

  // SentencePiece's BPE scores a token by the order in which merges made it.
  void write_sentencepiece() {
    std::map<std::string, size_t> ranks;
    size_t rank = 0;
    for (const json& merge : at(model_, "merges")) {
      std::string left, right;
      if (merge.is_string()) {
        const auto s = merge.get<std::string>();
        const size_t space = s.find(' ');
        left = s.substr(0, space);
        right = s.substr(std::min(s.size(), space + 1));
      } else {
        left = merge.at(0).get<std::string>();
        right = merge.at(1).get<std::string>();
      }
      ranks.emplace(left + right, rank++);
    }
    const json unk = at(model_, "unk_token");
    bool prefix = false;
    for (const json& step : steps_of(at(root_, "normalizer"), "normalizers"))
      prefix = prefix || type_of(step) == "Prepend";
    for (const json& step : steps_of(at(root_, "pre_tokenizer"), "pretokenizers"))
      prefix =
          prefix || (type_of(step) == "Metaspace" && at(step, "prepend_scheme") != json("never"));
    scores_.resize(tokens_.size(), 0.0f);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (is_byte_token(tokens_[i])) types_[i] = kByte;
      if (unk.is_string() && tokens_[i] == unk.get<std::string>()) types_[i] = kUnknown;
      if (types_[i] != kNormal) continue;
      const auto it = ranks.find(tokens_[i]);
      scores_[i] = -static_cast<float>(it != ranks.end() ? it->second : rank + i);
    }
    m_->set_string("tokenizer.ggml.model", "llama");
    m_->set_string("tokenizer.ggml.pre", "default");
    m_->set_bool("tokenizer.ggml.add_space_prefix", prefix);
  }

  // GGUF marks the beginning of a word ("▁") where WordPiece marks its continuation ("##").
  void write_wordpiece() {
    const json unk = at(model_, "unk_token");
    for (size_t i = 0; i < tokens_.size(); ++i) {
      std::string& t = tokens_[i];
      if (types_[i] == kNormal && unk.is_string() && t == unk.get<std::string>())
        types_[i] = kUnknown;
      if (types_[i] == kNormal) t = t.starts_with("##") ? t.substr(2) : kSpace + t;
    }
    const json normalizer = at(root_, "normalizer");
    check(type_of(normalizer) == "BertNormalizer" && at(normalizer, "clean_text") != json(false) &&
              at(normalizer, "handle_chinese_chars") != json(false) &&
              type_of(at(root_, "pre_tokenizer")) == "BertPreTokenizer",
          "WordPiece without BERT's own normalizer and pre-tokenizer");
    const bool lowercase = at(normalizer, "lowercase") == json(true);
    const json strip = at(normalizer, "strip_accents");
    m_->set_string("tokenizer.ggml.model", "bert");
    m_->set_string("tokenizer.ggml.pre", "default");
    m_->set_bool("tokenizer.ggml.normalizer.lowercase", lowercase);
    m_->set_bool("tokenizer.ggml.normalizer.strip_accents",
                 strip.is_boolean() ? strip.get<bool>() : lowercase);
  }

  void write_unigram() {
    check(at(model_, "byte_fallback") != json(true), "Unigram with byte fallback");
    const json vocab = at(model_, "vocab");
    scores_.resize(tokens_.size(), 0.0f);
    for (size_t i = 0; i < vocab.size() && i < scores_.size(); ++i)
      scores_[i] = vocab[i].at(1).get<float>();
    if (const json unk = at(model_, "unk_id");
        unk.is_number_unsigned() && unk.get<size_t>() < types_.size())
      types_[unk.get<size_t>()] = kUnknown;
    bool trimmed = false, prefix = false;
    for (const json& step : steps_of(at(root_, "normalizer"), "normalizers")) {
      const std::string type = type_of(step);
      const bool replaces = type == "Replace" && at(step, "content") != json("");
      check(type == "Precompiled" || type == "Strip" || type == "Nmt" || replaces,
            "Unigram after a normalizer of type " + type);
      trimmed = trimmed || replaces;
      const json map = at(step, "precompiled_charsmap");
      if (map.is_string())
        m_->set_u8s("tokenizer.ggml.precompiled_charsmap", decode_base64(map.get<std::string>()));
    }
    for (const json& step : steps_of(at(root_, "pre_tokenizer"), "pretokenizers")) {
      const std::string type = type_of(step);
      check(type == "WhitespaceSplit" || type == "Metaspace",
            "Unigram after a pre-tokenizer of type " + type);
      trimmed = trimmed || type == "WhitespaceSplit";
      if (type == "Metaspace")
        prefix = at(step, "prepend_scheme").is_string()
                     ? at(step, "prepend_scheme") != json("never")
                     : at(step, "add_prefix_space") != json(false);
    }
    m_->set_string("tokenizer.ggml.model", "t5");
    m_->set_string("tokenizer.ggml.pre", "default");
    m_->set_bool("tokenizer.ggml.add_space_prefix", prefix);
    m_->set_bool("tokenizer.ggml.remove_extra_whitespaces", trimmed);
  }

  void check(bool can, const std::string& what) const {
    LM_CHECK(can, ErrorCode::unsupported,
             "{}/tokenizer.json is {}, for which GGUF has no keys; the model cannot be converted "
             "with its tokenizer",
             folder_, what);
  }

  std::string folder_, text_;
  json root_, model_;
  GgufMetadata* m_;
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
  std::vector<float> scores_;
};

}  // namespace

void set_tokenizer(const std::string& folder, int64_t vocab_size, GgufMetadata* metadata) {
  if (!fs::exists(folder + "/tokenizer.json")) {
    set_older_tokenizer(folder, vocab_size, metadata);
    return;
  }
  try {
    TokenizerKeys(folder, vocab_size, metadata).write();
  } catch (const json::exception& e) {
    raise(ErrorCode::bad_file, "{}/tokenizer.json: {}", folder, e.what());
  }
}

}  // namespace lm
