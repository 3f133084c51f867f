// tokenizer.json and its companions from the tokenizer.* keys of a GGUF file.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_folder.h"
#include "engine/text/base64.h"
#include "engine/text/gguf_pre_list.h"

namespace lm {

using nlohmann::ordered_json;

namespace {

constexpr const char* kSpace = "\xE2\x96\x81";  // "▁"
constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4;

class TokenizerWriter {
 public:
  TokenizerWriter(const GgufFile& file, const std::string& folder) : file_(file), folder_(folder) {
    for (const std::string_view t : file.get_strings("tokenizer.ggml.tokens"))
      tokens_.emplace_back(t);
    types_ = file.get_ints("tokenizer.ggml.token_type");
    types_.resize(tokens_.size(), 1);
  }

  std::vector<std::string> write() {
    const std::string kind(file_.get_string("tokenizer.ggml.model").value_or("none"));
    if (kind == "none" || tokens_.empty()) return {};
    if (const auto whole = file_.get_string("tokenizer.huggingface.json"))
      put("tokenizer.json", *whole);
    else if (kind == "gpt2")
      put("tokenizer.json", byte_level().dump());
    else if (kind == "llama")
      put("tokenizer.json", sentencepiece().dump());
    else if (kind == "bert")
      put("tokenizer.json", wordpiece().dump());
    else if (kind == "t5")
      put("tokenizer.json", unigram().dump());
    else  // rwkv: tokenizer.json has no greedy kind
      raise(ErrorCode::unsupported,
            "a tokenizer of kind \"{}\" cannot be written as tokenizer.json; gpt2, llama, bert and "
            "t5 can",
            kind);
    put("tokenizer_config.json", config().dump(2) + "\n");
    put("generation_config.json", generation().dump(2) + "\n");
    return files_;
  }

 private:
  void put(const char* name, std::string_view text) {
    files_.push_back(folder_ + "/" + name);
    write_file_atomic(files_.back(), std::as_bytes(std::span(text)));
  }

  // The id that a role has, or -1. usual: the one that files of this kind leave out.
  int64_t id(const char* name, int64_t usual = -1) const {
    auto v = file_.get_int(std::string("tokenizer.ggml.") + name);
    if (!v) v = usual;
    return v && *v >= 0 && *v < static_cast<int64_t>(tokens_.size()) ? *v : -1;
  }
  const std::string* token(const char* name) const {
    const int64_t i = id(name);
    return i < 0 ? nullptr : &tokens_[static_cast<size_t>(i)];
  }
  bool flag(const char* name, bool usual) const {
    return file_.get_bool(std::string("tokenizer.ggml.") + name).value_or(usual);
  }

  // What stands around a text.
  struct Around {
    int64_t front = -1, back = -1;  // ids
    bool typed = false;             // the second text of a pair has token type 1 (BERT)
    bool twice = false;             // two separators stand between the texts (RoBERTa)
  };
  Around around(bool bos, bool eos) const {
    Around a;
    if (flag("add_bos_token", bos)) a.front = id("bos_token_id");
    if (flag("add_eos_token", eos)) a.back = id("eos_token_id");
    a.twice = a.back >= 0 && id("seperator_token_id") >= 0;  // sic
    return a;
  }

  ordered_json skeleton(const Around& around) const {
    ordered_json added = ordered_json::array();
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const bool special = types_[i] == kControl || types_[i] == kUnknown;
      if (!special && types_[i] != kUser) continue;
      added.push_back({{"id", i},
                       {"content", tokens_[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", special}});
    }
    ordered_json j = {
        {"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", added}};
    j["normalizer"] = nullptr;
    j["pre_tokenizer"] = nullptr;
    j["post_processor"] = nullptr;
    if (around.front >= 0 || around.back >= 0) j["post_processor"] = post_processor(around);
    return j;
  }

  ordered_json post_processor(const Around& around) const {
    ordered_json single = ordered_json::array(), pair = ordered_json::array(),
                 special = ordered_json::object();
    const auto add_token = [&](ordered_json* to, int64_t id, int type) {
      if (id < 0) return;
      const std::string& t = tokens_[static_cast<size_t>(id)];
      to->push_back({{"SpecialToken", {{"id", t}, {"type_id", type}}}});
      special[t] = {
          {"id", t}, {"ids", ordered_json::array({id})}, {"tokens", ordered_json::array({t})}};
    };
    const auto add_text = [](ordered_json* to, const char* name, int type) {
      to->push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    };
    for (ordered_json* to : {&single, &pair}) {
      add_token(to, around.front, 0);
      add_text(to, "A", 0);
      add_token(to, around.back, 0);
    }
    // Between two texts: what ends the first one, or else begins the second again.
    const int second = around.typed || around.back < 0 ? 1 : 0;
    if (around.twice) add_token(&pair, id("seperator_token_id"), 0);
    if (around.back < 0) add_token(&pair, around.front, second);
    add_text(&pair, "B", second);
    add_token(&pair, around.back, second);
    return {{"type", "TemplateProcessing"},
            {"single", single},
            {"pair", pair},
            {"special_tokens", special}};
  }

  ordered_json vocab() const {
    ordered_json::object_t out;
    out.reserve(tokens_.size());
    for (size_t i = 0; i < tokens_.size(); ++i) out.emplace_back(tokens_[i], i);
    return out;
  }

  ordered_json byte_level() const {
    const std::string pre(file_.get_string("tokenizer.ggml.pre").value_or("default"));
    const GgufPreFamily* family = find_gguf_pre_family(pre);
    LM_CHECK(family != nullptr, ErrorCode::unsupported, "pre-tokenizer \"{}\" is not known", pre);
    ordered_json j = skeleton(around(family->add_bos, false));
    if (family->nfc) j["normalizer"] = {{"type", "NFC"}};
    ordered_json steps = ordered_json::array();
    for (const char* pattern : family->patterns)
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", pattern}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    const ordered_json bytes = {{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"trim_offsets", true},
                                {"use_regex", false}};
    steps.push_back(bytes);
    j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
    j["decoder"] = bytes;
    ordered_json merges = ordered_json::array();
    for (const std::string_view merge : file_.get_strings("tokenizer.ggml.merges")) {
      const size_t space = merge.find(' ', 1);
      if (space != merge.npos) merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
    }
    j["model"] = {{"type", "BPE"},
                  {"dropout", nullptr},
                  {"unk_token", nullptr},
                  {"continuing_subword_prefix", nullptr},
                  {"end_of_word_suffix", nullptr},
                  {"fuse_unk", false},
                  {"byte_fallback", false},
                  {"ignore_merges", family->ignore_merges},
                  {"vocab", vocab()},
                  {"merges", merges}};
    return j;
  }

  std::vector<float> scores_of_tokens() const {
    std::vector<float> scores = file_.get_floats("tokenizer.ggml.scores");
    LM_CHECK(scores.size() == tokens_.size(), ErrorCode::bad_file,
             "tokenizer.ggml.scores has {} entries; expected {}", scores.size(), tokens_.size());
    return scores;
  }

  // Every way to cut a token into two tokens is a merge; the better the token's score, the earlier.
  ordered_json merges_from_scores() const {
    const std::vector<float> scores = scores_of_tokens();
    std::unordered_map<std::string_view, size_t> ids;
    for (size_t i = 0; i < tokens_.size(); ++i) ids.emplace(tokens_[i], i);
    struct Merge {
      float score;
      size_t left, right;
    };
    std::vector<Merge> merges;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (types_[i] != kNormal) continue;
      const std::string_view t = tokens_[i];
      for (size_t cut = 1; cut < t.size(); ++cut) {
        const auto l = ids.find(t.substr(0, cut)), r = ids.find(t.substr(cut));
        if (l != ids.end() && r != ids.end()) merges.push_back({scores[i], l->second, r->second});
      }
    }
    std::stable_sort(merges.begin(), merges.end(),
                     [](const Merge& a, const Merge& b) { return a.score > b.score; });
    ordered_json out = ordered_json::array();
    for (const Merge& m : merges) out.push_back({tokens_[m.left], tokens_[m.right]});
    return out;
  }

  ordered_json sentencepiece() const {
    ordered_json j = skeleton(around(true, false));
    ordered_json steps = ordered_json::array();
    const bool prefix = file_.get_bool("tokenizer.ggml.add_space_prefix").value_or(true);
    if (prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}});
    j["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
    ordered_json decoders = ordered_json::array();
    decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}});
    decoders.push_back({{"type", "ByteFallback"}});
    decoders.push_back({{"type", "Fuse"}});
    if (prefix)
      decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    j["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
    const std::string* unk = token("unknown_token_id");
    j["model"] = {{"type", "BPE"},
                  {"dropout", nullptr},
                  {"unk_token", unk ? ordered_json(*unk) : ordered_json()},
                  {"continuing_subword_prefix", nullptr},
                  {"end_of_word_suffix", nullptr},
                  {"fuse_unk", true},
                  {"byte_fallback", true},
                  {"ignore_merges", false},
                  {"vocab", vocab()},
                  {"merges", merges_from_scores()}};
    return j;
  }

  // GGUF marks the beginning of a word ("▁") where WordPiece marks its continuation ("##").
  ordered_json wordpiece() const {
    Around a;
    if (flag("add_bos_token", true)) a.front = id("bos_token_id", 101);
    if (flag("add_sep_token", true)) a.back = id("seperator_token_id", 102);  // sic
    a.typed = true;
    ordered_json j = skeleton(a);
    const bool lowercase = flag("normalizer.lowercase", true);
    j["normalizer"] = {{"type", "BertNormalizer"},
                       {"clean_text", true},
                       {"handle_chinese_chars", true},
                       {"strip_accents", flag("normalizer.strip_accents", lowercase)},
                       {"lowercase", lowercase}};
    j["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    j["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    ordered_json::object_t words;
    words.reserve(tokens_.size());
    const std::string_view space = kSpace;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const std::string& t = tokens_[i];
      if (types_[i] != kNormal)
        words.emplace_back(t, i);
      else if (t.starts_with(space) && t.size() > space.size())
        words.emplace_back(t.substr(space.size()), i);
      else
        words.emplace_back("##" + t, i);
    }
    j["model"] = {
        {"type", "WordPiece"},
        {"unk_token",
         tokens_.at(static_cast<size_t>(std::max<int64_t>(0, id("unknown_token_id", 100))))},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", words}};
    return j;
  }

  ordered_json unigram() const {
    ordered_json j = skeleton(around(false, true));
    const std::vector<float> scores = scores_of_tokens();
    const bool prefix = flag("add_space_prefix", false);
    const bool trimmed = flag("remove_extra_whitespaces", false);
    ordered_json steps = ordered_json::array();
    if (const std::string_view map = charsmap(); !map.empty())
      steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(map)}});
    if (trimmed) {
      steps.push_back({{"type", "Strip"}, {"strip_left", !prefix}, {"strip_right", true}});
      steps.push_back({{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}});
    }
    if (!steps.empty()) j["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
    const ordered_json metaspace = {{"type", "Metaspace"},
                                    {"replacement", kSpace},
                                    {"prepend_scheme", prefix ? "always" : "never"},
                                    {"split", true}};
    ordered_json cuts = ordered_json::array();
    if (trimmed && prefix) cuts.push_back({{"type", "WhitespaceSplit"}});
    cuts.push_back(metaspace);
    j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", cuts}};
    j["decoder"] = metaspace;
    ordered_json words = ordered_json::array();
    for (size_t i = 0; i < tokens_.size(); ++i)
      words.push_back({tokens_[i], static_cast<double>(scores[i])});
    j["model"] = {{"type", "Unigram"},
                  {"unk_id", std::max<int64_t>(0, id("unknown_token_id", 2))},
                  {"vocab", words},
                  {"byte_fallback", false}};
    return j;
  }

  // SentencePiece's character map, an array of bytes.
  std::string_view charsmap() const {
    const GgufValue* v = file_.find("tokenizer.ggml.precompiled_charsmap");
    if (v == nullptr || !v->is_array) return {};
    return {reinterpret_cast<const char*>(v->data.data()), v->data.size()};
  }

  ordered_json config() const {
    ordered_json j = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                      {"clean_up_tokenization_spaces", false}};
    for (const auto& [key, role] :
         {std::pair("bos_token", "bos_token_id"), std::pair("eos_token", "eos_token_id"),
          std::pair("unk_token", "unknown_token_id"), std::pair("pad_token", "padding_token_id"),
          std::pair("cls_token", "cls_token_id"), std::pair("sep_token", "seperator_token_id"),
          std::pair("mask_token", "mask_token_id")})
      if (const std::string* t = token(role)) j[key] = *t;
    for (const char* key : {"add_bos_token", "add_eos_token"})
      if (const auto flag = file_.get_bool(std::string("tokenizer.ggml.") + key)) j[key] = *flag;
    if (const auto chat = file_.get_string("tokenizer.chat_template"))
      j["chat_template"] = std::string(*chat);
    return j;
  }

  ordered_json generation() const {
    ordered_json j = {{"_from_model_config", true}};
    for (const char* role : {"bos_token_id", "eos_token_id"})
      if (id(role) >= 0) j[role] = id(role);
    if (id("padding_token_id") >= 0) j["pad_token_id"] = id("padding_token_id");
    const std::string start = std::string(file_.get_string("general.architecture").value_or("")) +
                              ".decoder_start_token_id";
    if (const auto first = file_.get_int(start)) j["decoder_start_token_id"] = *first;
    return j;
  }

  const GgufFile& file_;
  std::string folder_;
  std::vector<std::string> tokens_, files_;
  std::vector<int64_t> types_;
};

}  // namespace

std::vector<std::string> write_tokenizer_files(const GgufFile& file, const std::string& folder) {
  try {
    return TokenizerWriter(file, folder).write();
  } catch (const ordered_json::exception& e) {  // a token that is not UTF-8
    raise(ErrorCode::bad_file, "the tokenizer cannot be written as tokenizer.json: {}", e.what());
  }
}

}  // namespace lm
