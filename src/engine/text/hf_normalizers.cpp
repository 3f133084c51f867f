// The normalizers of a tokenizer.json. Source of names and behaviour: huggingface/tokenizers.
#include <nlohmann/json.hpp>

#include "engine/text/base64.h"
#include "engine/text/hf_json.h"
#include "engine/text/hf_step_list.h"
#include "engine/text/hf_steps.h"

namespace lm {

using nlohmann::json;

namespace {

Normalizer make_bert_normalizer(const json& d) {
  BertRules rules;
  rules.clean_text = json_bool(d, "clean_text", true);
  rules.handle_chinese_chars = json_bool(d, "handle_chinese_chars", true);
  rules.lowercase = json_bool(d, "lowercase", true);
  rules.strip_accents = json_bool(d, "strip_accents", rules.lowercase);
  return bert_normalizer(rules);
}

Normalizer make_precompiled(const json& d) {
  const json& map = json_field(d, "precompiled_charsmap");
  return precompiled(map.is_null() ? "" : decode_base64(json_string(d, "precompiled_charsmap")));
}

struct NormalizerRow {
  const char* type;
  Normalizer (*make)(const json&);
};
constexpr NormalizerRow kNormalizers[] = {
    {"NFC", [](const json&) { return unicode_form(NormalForm::nfc); }},
    {"NFD", [](const json&) { return unicode_form(NormalForm::nfd); }},
    {"NFKC", [](const json&) { return unicode_form(NormalForm::nfkc); }},
    {"NFKD", [](const json&) { return unicode_form(NormalForm::nfkd); }},
    {"Lowercase", [](const json&) { return lowercase(); }},
    {"StripAccents", [](const json&) { return strip_accents(); }},
    {"Strip",
     [](const json& d) {
       return strip_whitespace(json_bool(d, "strip_left", true), json_bool(d, "strip_right", true));
     }},
    {"Prepend", [](const json& d) { return prepend(json_string(d, "prepend")); }},
    {"BertNormalizer", make_bert_normalizer},
    {"Nmt", [](const json&) { return nmt_normalizer(); }},
    {"Precompiled", make_precompiled},
    {"Replace",
     [](const json& d) {
       const StepPattern p = read_pattern(d);
       const std::string with = json_string(d, "content");
       return p.regex ? replace_regex(p.text, with) : replace_string(p.text, with);
     }},
};

}  // namespace

bool add_normalizers(const json& description, TokenizerParts& parts) {
  bool byte_level = false;
  each_step(description, "normalizers", [&](const json& d) {
    const std::string type = json_string(d, "type");
    LM_CHECK(!byte_level, ErrorCode::unsupported,
             "load: normalizer \"{}\" after ByteLevel; expected none", type);
    byte_level = type == "ByteLevel";
    if (!byte_level)
      parts.normalizers.push_back(find_step(kNormalizers, type, "normalizer").make(d));
  });
  return byte_level;
}

}  // namespace lm
