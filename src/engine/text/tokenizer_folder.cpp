// A Hugging Face folder: tokenizer.json, completed by what the files beside it say about special
// tokens.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/json_file.h"
#include "engine/text/hf_json.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

using nlohmann::json;

namespace {

// An object from a file; empty when the file is absent.
json optional_object(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return json::object();
  json value = read_json_file(path.string());
  LM_CHECK(value.is_object(), ErrorCode::bad_file, "load: {} is not a JSON object", path.string());
  return value;
}

// A special token is written as a string or as an object with "content". -1 when absent or unknown.
int32_t named_token(const json& object, const char* name, const Vocab& vocab) {
  const json& value = json_field(object, name);
  if (value.is_string()) return vocab.find(value.get_ref<const std::string&>());
  if (value.is_object() && json_field(value, "content").is_string())
    return vocab.find(json_string(value, "content"));
  return -1;
}

void add_eos_ids(const json& config, TokenizerParts& p) {
  const json& eos = json_field(config, "eos_token_id");
  if (eos.is_array()) {
    for (const json& id : eos) p.add_eos(json_id(id, "eos_token_id", Vocab::kMaxTokens));
  } else if (!eos.is_null()) {
    p.add_eos(json_id(eos, "eos_token_id", Vocab::kMaxTokens));
  }
}

// Classes whose add_bos_token / add_eos_token fields override the post-processor of tokenizer.json
// (transformers, tokenization_llama_fast.py and those that copy it).
bool config_rules_bos(const std::string& tokenizer_class) {
  for (const char* family : {"Llama", "Gemma", "CodeLlama"}) {
    if (tokenizer_class.starts_with(family)) return true;
  }
  return false;
}

void apply_bos_config(const json& config, TokenizerParts& p) {
  const bool rules = config_rules_bos(json_string(config, "tokenizer_class", ""));
  const json& add_bos = json_field(config, "add_bos_token");
  if (add_bos.is_boolean() && p.bos >= 0 && (rules || p.prefix.empty())) {
    p.prefix.clear();
    if (add_bos.get<bool>()) p.prefix.push_back(p.bos);
  }
  const json& add_eos = json_field(config, "add_eos_token");
  if (add_eos.is_boolean() && !p.eos.empty() && (rules || p.suffix.empty())) {
    p.suffix.clear();
    if (add_eos.get<bool>()) p.suffix.push_back(p.eos[0]);
  }
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer_folder(const std::string& folder) {
  const std::filesystem::path dir = folder;
  const std::string path = (dir / "tokenizer.json").string();
  std::unique_ptr<TokenizerParts> parts = read_tokenizer_json(read_file(path), path);
  TokenizerParts& p = *parts;
  const json config = optional_object(dir / "tokenizer_config.json");
  const json map = optional_object(dir / "special_tokens_map.json");
  for (const json* file : {&config, &map}) {
    if (p.bos < 0) p.bos = named_token(*file, "bos_token", p.vocab);
    if (p.pad < 0) p.pad = named_token(*file, "pad_token", p.vocab);
    if (p.unk < 0) p.unk = named_token(*file, "unk_token", p.vocab);
    p.add_eos(named_token(*file, "eos_token", p.vocab));
  }
  add_eos_ids(optional_object(dir / "generation_config.json"), p);
  apply_bos_config(config, p);
  if (p.bos < 0 && !p.prefix.empty()) p.bos = p.prefix[0];
  add_known_eos(p);
  return std::make_shared<const Tokenizer>(std::move(parts));
}

}  // namespace lm
