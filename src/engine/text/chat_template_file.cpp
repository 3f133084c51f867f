#include "engine/text/chat_template_file.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/formats/json_file.h"
#include "engine/text/hf_json.h"

namespace lm {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxBytes = size_t{1} << 22;

// A special token is written as a string or as an object with "content".
std::string token_text(const json& config, const char* name) {
  const json& value = json_field(config, name);
  if (value.is_string()) return value.get<std::string>();
  return value.is_object() ? json_string(value, "content", "") : "";
}

// The names of a configuration's templates: one text, or a list of {"name", "template"}.
std::string known_names(const json& config) {
  const json& value = json_field(config, "chat_template");
  if (value.is_string()) return "default";
  std::string known;
  if (value.is_array())
    for (const json& entry : value)
      known.append(known.empty() ? "" : ", ").append(json_string(entry, "name"));
  return known.empty() ? "none" : known;
}

std::optional<ChatTemplateFile> find_in_config(const json& config, const std::string& name) {
  ChatTemplateFile out{"", token_text(config, "bos_token"), token_text(config, "eos_token")};
  const json& value = json_field(config, "chat_template");
  if (value.is_string() && name == "default") {
    out.source = value.get<std::string>();
    return out;
  }
  if (!value.is_array()) return std::nullopt;
  for (const json& entry : value) {
    if (json_string(entry, "name") != name) continue;
    out.source = json_string(entry, "template");
    return out;
  }
  return std::nullopt;
}

ChatTemplateFile from_config(const json& config, const std::string& path, const std::string& name) {
  auto found = find_in_config(config, name);
  LM_CHECK(found.has_value(), ErrorCode::not_found,
           "template: {} has no chat template \"{}\"; it has {}", path, name, known_names(config));
  return std::move(*found);
}

// What a folder says about its templates: the configuration that has them.
json folder_config(const fs::path& dir) {
  const fs::path path = dir / "tokenizer_config.json", older = dir / "chat_template.json";
  json config = fs::exists(path) ? read_json_file(path.string()) : json::object();
  if (!config.is_object()) config = json::object();
  if (!config.contains("chat_template") && fs::exists(older)) {
    const json more = read_json_file(older.string());
    config["chat_template"] = json_field(more, "chat_template");
  }
  return config;
}

std::optional<ChatTemplateFile> find_in_folder(const fs::path& dir, const json& config,
                                               const std::string& name) {
  const fs::path named = name == "default" ? dir / "chat_template.jinja"
                                           : dir / "additional_chat_templates" / (name + ".jinja");
  if (fs::exists(named))
    return ChatTemplateFile{read_file(named.string(), kMaxBytes), token_text(config, "bos_token"),
                            token_text(config, "eos_token")};
  return find_in_config(config, name);
}

ChatTemplateFile from_folder(const fs::path& dir, const std::string& name) {
  const json config = folder_config(dir);
  auto found = find_in_folder(dir, config, name);
  LM_CHECK(found.has_value(), ErrorCode::not_found,
           "template: {} has no chat template \"{}\"; it has {}", dir.string(), name,
           known_names(config));
  return std::move(*found);
}

ChatTemplateFile from_gguf(const std::string& path, const std::string& name) {
  const GgufFile file = GgufFile::open(path);
  const std::string key =
      name == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + name;
  const auto source = file.get_string(key);
  LM_CHECK(source.has_value(), ErrorCode::not_found, "template: {} has no {}", path, key);
  ChatTemplateFile out{std::string(*source), "", ""};
  const std::vector<std::string_view> tokens = file.get_strings("tokenizer.ggml.tokens");
  const auto token = [&](const char* id_key) -> std::string {
    const auto id = file.get_int(id_key);
    return id && *id >= 0 && *id < static_cast<int64_t>(tokens.size())
               ? std::string(tokens[static_cast<size_t>(*id)])
               : "";
  };
  out.bos_token = token("tokenizer.ggml.bos_token_id");
  out.eos_token = token("tokenizer.ggml.eos_token_id");
  return out;
}

}  // namespace

std::string chat_template_in(const std::string& folder) {
  const auto found = find_in_folder(folder, folder_config(folder), "default");
  return found ? found->source : "";
}

ChatTemplateFile read_chat_template(const std::string& path, const std::string& name) {
  if (fs::is_directory(path)) return from_folder(path, name);
  if (path.ends_with(".gguf")) return from_gguf(path, name);
  if (path.ends_with(".json")) return from_config(read_json_file(path), path, name);
  return {read_file(path, kMaxBytes), "", ""};
}

}  // namespace lm
