// The pre-tokenizers of a tokenizer.json. Source of names and behaviour: huggingface/tokenizers.
#include <nlohmann/json.hpp>

#include "engine/text/hf_json.h"
#include "engine/text/hf_step_list.h"
#include "engine/text/hf_steps.h"

namespace lm {

using nlohmann::json;

namespace {

constexpr const char* kMetaspace = "\xE2\x96\x81";

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

struct PreContext {
  TokenizerParts& parts;
  bool byte_level = false;  // a ByteLevel step came before: later steps see the visible alphabet
};
void push_pre(PreContext& c, PreTokenizer step) {
  c.parts.pre_tokenizers.push_back(c.byte_level ? on_byte_alphabet(std::move(step))
                                                : std::move(step));
}

PreTokenizer make_split(const json& d) {
  const StepPattern p = read_pattern(d);
  const SplitBehavior behavior = read_behavior(d, "Isolated");
  const bool invert = json_bool(d, "invert", false);
  // The known patterns match every character, so there are no gaps for the other behaviors to
  // treat.
  if (p.regex && behavior == SplitBehavior::isolated && !invert) return split_by_pattern(p.text);
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

void add_fixed_length(const json& d, PreContext& c) {
  const json& length = json_field(d, "length");
  LM_CHECK(length.is_number_unsigned() && length.get<uint64_t>() > 0, ErrorCode::bad_file,
           "load: FixedLength with length {}; expected a positive integer", length.dump());
  push_pre(c, split_fixed_length(length.get<size_t>()));
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
    {"CharDelimiterSplit",
     [](const json& d, PreContext& c) {
       push_pre(c, split_by_string(json_string(d, "delimiter"), SplitBehavior::removed, false));
     }},
    {"FixedLength", add_fixed_length},
    {"UnicodeScripts", [](const json&, PreContext& c) { push_pre(c, split_scripts()); }},
    {"WhitespaceSplit", [](const json&, PreContext& c) { push_pre(c, split_whitespace()); }},
    {"Whitespace",
     [](const json&, PreContext& c) {
       push_pre(c, split_by_regex(R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)",
                                  SplitBehavior::removed, true));
     }},
    {"BertPreTokenizer",
     [](const json&, PreContext& c) {
       push_pre(c, split_whitespace());
       push_pre(c, split_punctuation(SplitBehavior::isolated));
     }},
};

}  // namespace

bool add_pre_tokenizers(const json& description, TokenizerParts& parts, bool byte_level) {
  PreContext context{parts, byte_level};
  each_step(description, "pretokenizers", [&](const json& d) {
    find_step(kPreTokenizers, json_string(d, "type"), "pre_tokenizer").add(d, context);
  });
  return context.byte_level;
}

}  // namespace lm
