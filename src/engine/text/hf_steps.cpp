#include "engine/text/hf_steps.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/hf_json.h"

namespace lm {

using nlohmann::json;

namespace {

constexpr const char* kMetaspace = "\xE2\x96\x81";
constexpr int kMaxNesting = 16;  // of Sequence steps

// Finds the row of a step's type; throws unsupported listing the known ones.
template <typename Row, size_t N>
const Row& find_row(const Row (&rows)[N], const std::string& type, const char* section) {
  std::string known;
  for (const Row& row : rows) {
    if (type == row.type) return row;
    known.append(known.empty() ? "" : ", ").append(row.type);
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("load: {} \"{}\"; expected one that is known", section, type),
              "known: " + known);
}

// Calls step(description) for a step or, recursively, for the members of a Sequence, whose list is
// named `members`.
template <typename Step>
void each_step(const json& description, const char* members, Step&& step, int depth = 0) {
  if (description.is_null()) return;
  LM_CHECK(depth < kMaxNesting, ErrorCode::bad_file,
           "load: Sequence steps nested more than {} deep", kMaxNesting);
  if (json_string(description, "type") != "Sequence") {
    step(description);
    return;
  }
  const json& list = json_field(description, members);
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: \"{}\" is {}; expected a list", members,
           list.type_name());
  for (const json& member : list) each_step(member, members, step, depth + 1);
}

// {"String": "..."} or {"Regex": "..."}
struct Pattern {
  std::string text;
  bool regex;
};
Pattern read_pattern(const json& description) {
  const json& pattern = json_field(description, "pattern");
  if (pattern.is_object() && pattern.contains("Regex"))
    return {json_string(pattern, "Regex"), true};
  return {json_string(pattern, "String"), false};
}

SplitBehavior read_behavior(const json& description, const char* fallback) {
  const std::string name = json_string(description, "behavior", fallback);
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  raise(ErrorCode::unsupported,
        "load: split behavior \"{}\"; expected Removed, Isolated, MergedWithPrevious, "
        "MergedWithNext or Contiguous",
        name);
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
    {"Replace",
     [](const json& d) {
       const Pattern p = read_pattern(d);
       const std::string with = json_string(d, "content");
       return p.regex ? replace_regex(p.text, with) : replace_string(p.text, with);
     }},
};

struct PreContext {
  TokenizerParts& parts;
  bool byte_level = false;  // a ByteLevel step came before: later steps see the visible alphabet
};
void push_pre(PreContext& c, PreTokenizer step) {
  c.parts.pre_tokenizers.push_back(c.byte_level ? on_byte_alphabet(std::move(step))
                                                : std::move(step));
}

PreTokenizer make_split(const json& d) {
  const Pattern p = read_pattern(d);
  const SplitBehavior behavior = read_behavior(d, "Isolated");
  const bool invert = json_bool(d, "invert", false);
  WordSplit kind;
  // The known patterns match every character, so there are no gaps for the other behaviors to
  // treat.
  if (p.regex && behavior == SplitBehavior::isolated && word_split_for_pattern(p.text, &kind))
    return split_by_kind(kind);
  return p.regex ? split_by_regex(p.text, behavior, invert)
                 : split_by_string(p.text, behavior, invert);
}

void add_byte_level(const json& d, PreContext& c) {
  LM_CHECK(!c.byte_level, ErrorCode::unsupported,
           "load: two ByteLevel pre-tokenizers; expected one");
  if (json_bool(d, "add_prefix_space", true)) push_pre(c, add_prefix_space());
  if (json_bool(d, "use_regex", true)) push_pre(c, split_by_kind(WordSplit::gpt2));
  c.byte_level = true;
}

void add_metaspace(const json& d, PreContext& c) {
  const bool old_prefix = json_bool(d, "add_prefix_space", true);
  const std::string name = json_string(d, "prepend_scheme", old_prefix ? "always" : "never");
  LM_CHECK(name == "always" || name == "first" || name == "never", ErrorCode::unsupported,
           "load: Metaspace prepend_scheme \"{}\"; expected always, first or never", name);
  const PrependScheme scheme = name == "always"  ? PrependScheme::always
                               : name == "first" ? PrependScheme::first
                                                 : PrependScheme::never;
  push_pre(
      c, metaspace(json_string(d, "replacement", kMetaspace), scheme, json_bool(d, "split", true)));
}

struct PreRow {
  const char* type;
  void (*add)(const json&, PreContext&);
};
constexpr PreRow kPreTokenizers[] = {
    {"ByteLevel", add_byte_level},
    {"Split", [](const json& d, PreContext& c) { push_pre(c, make_split(d)); }},
    {"Digits",
     [](const json& d, PreContext& c) {
       push_pre(c, split_digits(json_bool(d, "individual_digits", false)));
     }},
    {"Punctuation",
     [](const json& d, PreContext& c) {
       push_pre(c, split_punctuation(read_behavior(d, "Isolated")));
     }},
    {"Metaspace", add_metaspace},
    {"WhitespaceSplit", [](const json&, PreContext& c) { push_pre(c, split_whitespace()); }},
    {"Whitespace",
     [](const json&, PreContext& c) {
       push_pre(c, split_by_regex(R"(\w+|[^\w\s]+)", SplitBehavior::removed, true));
     }},
    {"BertPreTokenizer",
     [](const json&, PreContext& c) {
       push_pre(c, split_whitespace());
       push_pre(c, split_punctuation(SplitBehavior::isolated));
     }},
};

void post_template(const json& d, TokenizerParts& parts) {
  const json& special = json_field(d, "special_tokens");
  bool after = false;
  for (const json& piece : json_field(d, "single")) {
    if (!json_field(piece, "Sequence").is_null()) {
      after = true;
      continue;
    }
    const std::string name = json_string(json_field(piece, "SpecialToken"), "id");
    const json& ids = json_field(json_field(special, name.c_str()), "ids");
    LM_CHECK(ids.is_array(), ErrorCode::bad_file,
             "load: post_processor names \"{}\" but gives no ids for it", name);
    for (const json& id : ids) {
      (after ? parts.suffix : parts.prefix)
          .push_back(json_id(id, "special_tokens.ids", Vocab::kMaxTokens));
    }
  }
}

int32_t pair_id(const json& d, const char* name) {
  const json& pair = json_field(d, name);
  LM_CHECK(pair.is_array() && pair.size() == 2, ErrorCode::bad_file,
           "load: \"{}\" is not a [token, id] pair", name);
  return json_id(pair[1], name, Vocab::kMaxTokens);
}

void post_cls_sep(const json& d, TokenizerParts& parts) {
  parts.prefix.push_back(pair_id(d, "cls"));
  parts.suffix.push_back(pair_id(d, "sep"));
}

struct PostRow {
  const char* type;
  void (*add)(const json&, TokenizerParts&);
};
constexpr PostRow kPostProcessors[] = {
    {"TemplateProcessing", post_template},
    {"RobertaProcessing", post_cls_sep},
    {"BertProcessing", post_cls_sep},
    {"ByteLevel", [](const json&, TokenizerParts&) {}},  // changes offsets only
};

}  // namespace

void add_normalizers(const json& description, TokenizerParts& parts) {
  each_step(description, "normalizers", [&](const json& d) {
    parts.normalizers.push_back(
        find_row(kNormalizers, json_string(d, "type"), "normalizer").make(d));
  });
}

void add_pre_tokenizers(const json& description, TokenizerParts& parts, bool* byte_level) {
  PreContext context{parts};
  each_step(description, "pretokenizers", [&](const json& d) {
    find_row(kPreTokenizers, json_string(d, "type"), "pre_tokenizer").add(d, context);
  });
  *byte_level = context.byte_level;
}

void add_post_processor(const json& description, TokenizerParts& parts) {
  each_step(description, "processors", [&](const json& d) {
    find_row(kPostProcessors, json_string(d, "type"), "post_processor").add(d, parts);
  });
}

void add_decoder(const json& description, TokenizerParts& parts, bool byte_level) {
  bool sentencepiece = false;
  each_step(description, "decoders", [&](const json& d) {
    const std::string type = json_string(d, "type");
    if (type == "ByteLevel") {
      byte_level = true;
    } else if (type == "Metaspace") {
      sentencepiece = true;
      parts.strip_leading_space = json_bool(d, "add_prefix_space", true) &&
                                  json_string(d, "prepend_scheme", "always") != "never";
    } else if (type == "Replace" || type == "ByteFallback") {
      sentencepiece = true;
    } else if (type == "Strip") {
      parts.strip_leading_space =
          json_field(d, "start") == 1 && json_string(d, "content", "") == " ";
    } else {
      LM_CHECK(type == "Fuse", ErrorCode::unsupported,
               "load: decoder \"{}\"; expected ByteLevel, Metaspace, Replace, ByteFallback, Strip "
               "or Fuse",
               type);
    }
  });
  if (byte_level) {
    set_byte_level_bytes(parts.vocab);
  } else if (sentencepiece) {
    set_sentencepiece_bytes(parts.vocab);
  } else {
    parts.vocab.set_bytes([&](int32_t id, std::string& out) { out += parts.vocab.text(id); });
  }
}

}  // namespace lm
