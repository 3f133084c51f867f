// The decoders of a tokenizer.json. All but CTC turn each token into bytes by itself, so the bytes
// are computed once, at load; what depends on a token's place is a flag of TokenizerParts. Source
// of names and behaviour: huggingface/tokenizers.
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/text/hf_json.h"
#include "engine/text/hf_step_list.h"
#include "engine/text/hf_steps.h"

namespace lm {

using nlohmann::json;

namespace {

using TokenStep = std::function<void(std::string&)>;
struct Decoding {
  TokenizerParts& parts;
  std::vector<TokenStep> steps;
  bool fused = false;  // what follows sees the whole text
  bool byte_level = false;
};

int count_field(const json& d, const char* name) {
  const json& value = json_field(d, name);
  return value.is_null() ? 0 : json_id(value, name, 1 << 20);
}

void add_metaspace(const json& d, Decoding& c) {
  const std::string mark = json_string(d, "replacement", "\xE2\x96\x81");
  c.steps.push_back(replace_string(mark, " "));
  if (json_bool(d, "add_prefix_space", true) &&
      json_string(d, "prepend_scheme", "always") != "never")
    c.parts.leading_space = LeadingSpace::drop_all;
}

void add_replace(const json& d, Decoding& c) {
  const StepPattern p = read_pattern(d);
  const std::string with = json_string(d, "content");
  c.steps.push_back(p.regex ? replace_regex(p.text, with) : replace_string(p.text, with));
}

void add_strip(const json& d, Decoding& c) {
  const std::string content = json_string(d, "content", " ");
  const int start = count_field(d, "start"), stop = count_field(d, "stop");
  if (!c.fused) {
    c.steps.push_back([=](std::string& text) {
      for (int i = 0; i < start && !content.empty() && text.starts_with(content); ++i)
        text.erase(0, content.size());
      for (int i = 0; i < stop && !content.empty() && text.ends_with(content); ++i)
        text.resize(text.size() - content.size());
    });
    return;
  }
  LM_CHECK(content == " " && start <= 1 && stop == 0, ErrorCode::unsupported,
           "load: decoder Strip of \"{}\", {} at the start and {} at the end, after Fuse; expected "
           "at most one space at the start",
           content, start, stop);
  if (start == 1) c.parts.leading_space = LeadingSpace::drop_one;
}

void add_wordpiece(const json& d, Decoding& c) {
  const std::string prefix = json_string(d, "prefix", "##");
  const bool cleanup = json_bool(d, "cleanup", true);
  c.steps.push_back([=](std::string& text) { wordpiece_text(text, prefix, cleanup); });
  c.parts.leading_space = LeadingSpace::drop_one;
}

void add_bpe_decoder(const json& d, Decoding& c) {
  c.steps.push_back(replace_string(json_string(d, "suffix", "</w>"), " "));
  c.parts.strip_trailing_space = true;
}

void add_byte_fallback(const json&, Decoding& c) {
  c.steps.push_back([](std::string& text) {
    if (const int byte = byte_token_value(text); byte >= 0) text.assign(1, static_cast<char>(byte));
  });
}

struct DecoderRow {
  const char* type;
  void (*add)(const json&, Decoding&);
};
constexpr DecoderRow kDecoders[] = {
    {"ByteLevel", [](const json&, Decoding& c) { c.byte_level = true; }},
    {"ByteFallback", add_byte_fallback},
    {"Replace", add_replace},
    {"Fuse", [](const json&, Decoding& c) { c.fused = true; }},
    {"Strip", add_strip},
    {"Metaspace", add_metaspace},
    {"WordPiece", add_wordpiece},
    {"BPEDecoder", add_bpe_decoder},
};

}  // namespace

void add_decoder(const json& description, TokenizerParts& parts, bool byte_level) {
  Decoding c{parts, {}, false, byte_level};
  each_step(description, "decoders", [&](const json& d) {
    find_step(kDecoders, json_string(d, "type"), "decoder").add(d, c);
  });
  if (c.byte_level) {
    set_byte_level_bytes(parts.vocab);
    return;
  }
  std::string text;
  parts.vocab.set_bytes([&](int32_t id, std::string& out) {
    text = parts.vocab.text(id);
    for (const TokenStep& step : c.steps) step(text);
    out += text;
  });
}

}  // namespace lm
