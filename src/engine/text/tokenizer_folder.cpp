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
  const std::vector<int32_t> prefix = p.prefix, suffix = p.suffix;
  if (add_bos.is_boolean() && p.bos >= 0 && (rules || p.prefix.empty())) {
    p.prefix.clear();
    if (add_bos.get<bool>()) p.prefix.push_back(p.bos);
  }
  const json& add_eos = json_field(config, "add_eos_token");
  if (add_eos.is_boolean() && !p.eos.empty() && (rules || p.suffix.empty())) {
    p.suffix.clear();
    if (add_eos.get<bool>()) p.suffix.push_back(p.eos[0]);
  }
  if (p.prefix == prefix && p.suffix == suffix) return;
  p.pair.clear();
  for (const uint8_t type : {uint8_t{0}, uint8_t{1}}) {
    for (const int32_t id : p.prefix) p.pair.push_back({id, type});
    p.pair.push_back({type == 0 ? TemplatePiece::kFirst : TemplatePiece::kSecond, type});
    for (const int32_t id : p.suffix) p.pair.push_back({id, type});
  }
}

// Added tokens beside the vocabulary: {"id": {"content", ...}} of tokenizer_config.json, else
// {"content": id} of added_tokens.json, where names in special_tokens_map.json are special.
json added_tokens_of(const json& config, const json& added, const json& map) {
  json list = json::array();
  const json& decoder = json_field(config, "added_tokens_decoder");
  if (decoder.is_object()) {
    for (const auto& [id, token] : decoder.items()) {
      LM_CHECK(token.is_object() && !id.empty() && id.size() < 10 &&
                   id.find_first_not_of("0123456789") == id.npos,
               ErrorCode::bad_file, "load: added_tokens_decoder has \"{}\"; expected token ids",
               id);
      json entry = token;
      entry["id"] = std::stoi(id);
      list.push_back(std::move(entry));
    }
    return list;
  }
  const std::string names = map.dump();
  for (const auto& [content, id] : added.items()) {
    const bool special = names.find(json(content).dump()) != names.npos;
    list.push_back({{"content", content}, {"id", id}, {"special", special}, {"normalized", false}});
  }
  return list;
}

// The vocabulary of a folder without tokenizer.json; null where there is none.
std::unique_ptr<TokenizerParts> read_older_files(const std::filesystem::path& dir,
                                                 const json& config) {
  const auto has = [&](const char* name) { return std::filesystem::exists(dir / name); };
  const auto text = [&](const char* name) { return read_file((dir / name).string()); };
  const auto path = [&](const char* name) { return (dir / name).string(); };
  if (has("vocab.json") && has("merges.txt"))
    return read_tokenizer_vocab_merges(text("vocab.json"), text("merges.txt"), path("vocab.json"),
                                       json_string(config, "tokenizer_class", ""));
  if (has("tekken.json")) return read_tokenizer_tekken(text("tekken.json"), path("tekken.json"));
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (!has(name)) continue;
    const std::string bytes = text(name);
    return looks_like_tiktoken(bytes) ? read_tokenizer_tiktoken(bytes, path(name))
                                      : read_tokenizer_sentencepiece(bytes, path(name));
  }
  if (has("vocab.txt"))
    return read_tokenizer_bert(text("vocab.txt"), path("vocab.txt"),
                               json_bool(config, "do_lower_case", true));
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".tiktoken"))
      return read_tokenizer_tiktoken(read_file(entry.path().string()), entry.path().string());
    if (name.starts_with("rwkv_vocab") && name.ends_with(".txt"))
      return read_tokenizer_rwkv(read_file(entry.path().string()), entry.path().string());
  }
  return nullptr;
}

// Decoded bytes of tokens that were added after the vocabulary's own were set.
void set_added_bytes(TokenizerParts& p, const Vocab& before) {
  std::vector<std::string> bytes(static_cast<size_t>(before.size()));
  for (int32_t id = 0; id < before.size(); ++id) bytes[static_cast<size_t>(id)] = before.bytes(id);
  p.vocab.set_bytes([&](int32_t id, std::string& out) {
    const bool old = id < before.size() && !before.text(id).empty();
    out += old ? std::string_view(bytes[static_cast<size_t>(id)]) : p.vocab.text(id);
  });
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), size_t{400}));
  const size_t space = line.find(' ');
  return space != line.npos && space > 0 && space % 4 == 0 && space + 1 < line.size() &&
         line.find_first_not_of("0123456789\r", space + 1) == line.npos;
}

std::shared_ptr<const Tokenizer> load_tokenizer_folder(const std::string& folder) {
  auto found = find_tokenizer_folder(folder);
  LM_CHECK(
      found != nullptr, ErrorCode::not_found,
      "load: no tokenizer in {}; expected tokenizer.json, vocab.json with merges.txt, "
      "tekken.json, tokenizer.model, spiece.model, vocab.txt, a .tiktoken file or rwkv_vocab*.txt",
      folder);
  return found;
}

std::shared_ptr<const Tokenizer> find_tokenizer_folder(const std::string& folder) {
  const std::filesystem::path dir = folder;
  const json config = optional_object(dir / "tokenizer_config.json");
  const json map = optional_object(dir / "special_tokens_map.json");
  const json more = added_tokens_of(config, optional_object(dir / "added_tokens.json"), map);
  const std::string path = (dir / "tokenizer.json").string();
  std::unique_ptr<TokenizerParts> parts;
  if (std::filesystem::exists(path)) {
    parts = read_tokenizer_json(read_file(path), path, &more);
  } else {
    parts = read_older_files(dir, config);
    if (!parts) return nullptr;
    if (!more.empty()) {
      const Vocab before = parts->vocab;
      add_hf_added_tokens(more, *parts);
      set_added_bytes(*parts, before);
    }
  }
  TokenizerParts& p = *parts;
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
