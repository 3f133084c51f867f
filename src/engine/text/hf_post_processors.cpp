// The post-processors of a tokenizer.json: what is put around one text and around a pair. Source of
// names and behaviour: huggingface/tokenizers.
#include <nlohmann/json.hpp>

#include "engine/text/hf_json.h"
#include "engine/text/hf_step_list.h"
#include "engine/text/hf_steps.h"

namespace lm {

using nlohmann::json;

namespace {

// Appends the pieces of a template in order. A token that stands for several ids makes several
// pieces.
void read_template(const json& description, const char* which, std::vector<TemplatePiece>& out) {
  const json& list = json_field(description, which);
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: post_processor.{} is {}; expected a list",
           which, list.type_name());
  const json& special = json_field(description, "special_tokens");
  for (const json& piece : list) {
    const bool text = !json_field(piece, "Sequence").is_null();
    const json& body = json_field(piece, text ? "Sequence" : "SpecialToken");
    const std::string name = json_string(body, "id");
    const json& type = json_field(body, "type_id");
    const int32_t type_id = type.is_null() ? 0 : json_id(type, "type_id", 256);
    if (text) {
      LM_CHECK(name == "A" || name == "B", ErrorCode::bad_file,
               "load: the post_processor names the text \"{}\"; expected A or B", name);
      out.push_back({name == "A" ? TemplatePiece::kFirst : TemplatePiece::kSecond,
                     static_cast<uint8_t>(type_id)});
      continue;
    }
    const json& ids = json_field(json_field(special, name.c_str()), "ids");
    LM_CHECK(ids.is_array(), ErrorCode::bad_file,
             "load: post_processor names \"{}\" but gives no ids for it", name);
    for (const json& id : ids)
      out.push_back(
          {json_id(id, "special_tokens.ids", Vocab::kMaxTokens), static_cast<uint8_t>(type_id)});
  }
}

void post_template(const json& d, TokenizerParts& parts) {
  std::vector<TemplatePiece> single;
  read_template(d, "single", single);
  bool after = false;
  for (const TemplatePiece& piece : single) {
    if (piece.id < 0) {
      after = true;
    } else {
      (after ? parts.suffix : parts.prefix).push_back(piece.id);
    }
  }
  if (!json_field(d, "pair").is_null()) read_template(d, "pair", parts.pair);
}

int32_t pair_id(const json& d, const char* name) {
  const json& pair = json_field(d, name);
  LM_CHECK(pair.is_array() && pair.size() == 2, ErrorCode::bad_file,
           "load: \"{}\" is not a [token, id] pair", name);
  return json_id(pair[1], name, Vocab::kMaxTokens);
}

void post_bert(const json& d, TokenizerParts& parts) {
  const int32_t cls = pair_id(d, "cls"), sep = pair_id(d, "sep");
  parts.prefix = {cls};
  parts.suffix = {sep};
  parts.pair = {
      {cls, 0}, {TemplatePiece::kFirst, 0}, {sep, 0}, {TemplatePiece::kSecond, 1}, {sep, 1}};
}

// RoBERTa has no token types: all are 0.
void post_roberta(const json& d, TokenizerParts& parts) {
  const int32_t cls = pair_id(d, "cls"), sep = pair_id(d, "sep");
  parts.prefix = {cls};
  parts.suffix = {sep};
  parts.pair = {{cls, 0}, {TemplatePiece::kFirst, 0},  {sep, 0},
                {sep, 0}, {TemplatePiece::kSecond, 0}, {sep, 0}};
}

struct PostRow {
  const char* type;
  void (*add)(const json&, TokenizerParts&);
};
constexpr PostRow kPostProcessors[] = {
    {"TemplateProcessing", post_template},
    {"RobertaProcessing", post_roberta},
    {"BertProcessing", post_bert},
    {"ByteLevel", [](const json&, TokenizerParts&) {}},  // changes offsets only
};

}  // namespace

void add_post_processor(const json& description, TokenizerParts& parts) {
  each_step(description, "processors", [&](const json& d) {
    find_step(kPostProcessors, json_string(d, "type"), "post_processor").add(d, parts);
  });
}

}  // namespace lm
