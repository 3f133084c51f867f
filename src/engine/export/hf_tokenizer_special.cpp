// Special tokens and the chat template of a folder as keys of GGUF.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/mapped_file.h"
#include "engine/export/hf_tokenizer.h"
#include "engine/formats/json_file.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// The token that a role names in tokenizer_config.json or special_tokens_map.json; -1 when none
// does.
int64_t named(const json& config, const char* role, const Tokenizer& t) {
  const auto it = config.find(role);
  if (it == config.end()) return -1;
  if (it->is_string()) return t.id_of(it->get<std::string>());
  const auto content = it->is_object() ? it->find("content") : it->end();
  return it->is_object() && content != it->end() && content->is_string()
             ? t.id_of(content->get<std::string>())
             : -1;
}

}  // namespace

void set_special_keys(const std::string& folder, bool wordpiece, GgufMetadata* m) {
  const auto tokenizer = load_tokenizer_folder(folder);
  json config = json::object();
  for (const char* file : {"/special_tokens_map.json", "/tokenizer_config.json"})
    if (fs::exists(folder + file)) config.update(read_json_file(folder + file));
  const auto set_id = [&](const char* name, int64_t id) {
    if (id >= 0 && id < tokenizer->size())
      m->set_u32(std::string("tokenizer.ggml.") + name, static_cast<uint64_t>(id));
  };
  set_id("bos_token_id", tokenizer->bos());
  set_id("unknown_token_id", tokenizer->unk());
  set_id("padding_token_id", tokenizer->pad());
  set_id("cls_token_id", named(config, "cls_token", *tokenizer));
  set_id("mask_token_id", named(config, "mask_token", *tokenizer));
  m->set_bool("tokenizer.ggml.add_bos_token", tokenizer->add_bos());
  // What ends a text, and what stands twice between two texts (RoBERTa).
  const std::vector<int32_t> one = tokenizer->encode("", {.add_special = true});
  const std::vector<int32_t> two = tokenizer->encode_pair("", "", {.add_special = true}).ids;
  const bool ends = one.size() > static_cast<size_t>(tokenizer->add_bos());
  const std::vector<int32_t>& eos = tokenizer->eos();
  if (wordpiece) {
    set_id("seperator_token_id", ends ? one.back() : named(config, "sep_token", *tokenizer));
    if (!ends) m->set_bool("tokenizer.ggml.add_sep_token", false);
  } else if (ends && two.size() == 4 && two[1] == two[2]) {
    set_id("seperator_token_id", two[2]);  // sic
  }
  const int32_t end = !eos.empty() ? eos[0] : ends ? one.back() : -1;
  set_id("eos_token_id", end);
  m->set_bool("tokenizer.ggml.add_eos_token", ends && one.back() == end);
  std::string chat;
  if (fs::exists(folder + "/chat_template.jinja"))
    chat = read_file(folder + "/chat_template.jinja", size_t{1} << 22);
  else if (const auto it = config.find("chat_template"); it != config.end() && it->is_string())
    chat = it->get<std::string>();
  if (!chat.empty()) m->set_string("tokenizer.chat_template", chat);
}

}  // namespace lm
