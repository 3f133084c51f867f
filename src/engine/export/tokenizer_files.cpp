// tokenizer.json and its companions from the tokenizer.* keys of a GGUF file.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_folder.h"
#include "engine/text/gguf_pre_list.h"

namespace lm {

using nlohmann::ordered_json;

namespace {

constexpr const char* kSpace = "\xE2\x96\x81";  // "▁"
constexpr int64_t kUnknown = 2, kControl = 3, kUser = 4;

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
    else
      raise(ErrorCode::unsupported,
            "a tokenizer of kind \"{}\" cannot be written as tokenizer.json; gpt2 and llama can",
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

  int64_t id(const char* name) const {
    const auto v = file_.get_int(std::string("tokenizer.ggml.") + name);
    return v && *v >= 0 && *v < static_cast<int64_t>(tokens_.size()) ? *v : -1;
  }
  const std::string* token(const char* name) const {
    const int64_t i = id(name);
    return i < 0 ? nullptr : &tokens_[static_cast<size_t>(i)];
  }
  bool adds_bos(bool usual) const {
    return file_.get_bool("tokenizer.ggml.add_bos_token").value_or(usual) &&
           id("bos_token_id") >= 0;
  }

  ordered_json skeleton(bool bos) const {
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
    if (bos) {
      const std::string& t = *token("bos_token_id");
      const ordered_json front = {{"SpecialToken", {{"id", t}, {"type_id", 0}}}};
      const auto sequence = [](const char* name, int type) {
        return ordered_json{{"Sequence", {{"id", name}, {"type_id", type}}}};
      };
      j["post_processor"] = {
          {"type", "TemplateProcessing"},
          {"single", ordered_json::array({front, sequence("A", 0)})},
          {"pair", ordered_json::array({front, sequence("A", 0), front, sequence("B", 1)})},
          {"special_tokens",
           {{t,
             {{"id", t},
              {"ids", ordered_json::array({id("bos_token_id")})},
              {"tokens", ordered_json::array({t})}}}}}};
    }
    return j;
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
    ordered_json j = skeleton(adds_bos(family->add_bos));
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

  // Every way to cut a token into two tokens is a merge; the better the token's score, the earlier.
  ordered_json merges_from_scores() const {
    const std::vector<float> scores = file_.get_floats("tokenizer.ggml.scores");
    LM_CHECK(scores.size() == tokens_.size(), ErrorCode::bad_file,
             "tokenizer.ggml.scores has {} entries; expected {}", scores.size(), tokens_.size());
    std::unordered_map<std::string_view, size_t> ids;
    for (size_t i = 0; i < tokens_.size(); ++i) ids.emplace(tokens_[i], i);
    struct Merge {
      float score;
      size_t left, right;
    };
    std::vector<Merge> merges;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (types_[i] != 1) continue;
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
    ordered_json j = skeleton(adds_bos(true));
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

  ordered_json config() const {
    ordered_json j = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                      {"clean_up_tokenization_spaces", false}};
    for (const auto& [key, role] :
         {std::pair("bos_token", "bos_token_id"), std::pair("eos_token", "eos_token_id"),
          std::pair("unk_token", "unknown_token_id"), std::pair("pad_token", "padding_token_id")})
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
    return j;
  }

  const GgufFile& file_;
  std::string folder_;
  std::vector<std::string> tokens_, files_;
  std::vector<int64_t> types_;
};

}  // namespace

std::vector<std::string> write_tokenizer_files(const GgufFile& file, const std::string& folder) {
  return TokenizerWriter(file, folder).write();
}

}  // namespace lm
