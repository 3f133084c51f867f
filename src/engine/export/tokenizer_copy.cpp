#include "engine/export/tokenizer_copy.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_folder.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFiles[] = {"tokenizer.json",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "added_tokens.json",
                                  "vocab.json",
                                  "merges.txt",
                                  "tokenizer.model",
                                  "vocab.txt",
                                  "generation_config.json",
                                  "chat_template.jinja"};

// What ends a text in the vocabularies of GPT-2, Llama 1 to 3, Gemma and Qwen.
constexpr const char* kEnds[] = {"<|endoftext|>", "</s>",       "<|end_of_text|>",
                                 "<eos>",         "<|im_end|>", "[EOS]"};

void put(const std::string& folder, const char* name, const std::string& text) {
  write_file_atomic(folder + "/" + name, std::as_bytes(std::span(text)));
}

void write_config(const std::string& folder) {
  const auto tokenizer = load_tokenizer_folder(folder);
  nlohmann::ordered_json j = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                              {"clean_up_tokenization_spaces", false}};
  for (const char* end : kEnds) {
    const int32_t id = tokenizer->id_of(end);
    if (id < 0 || !tokenizer->is_special(id)) continue;
    j["eos_token"] = end;
    break;
  }
  put(folder, "tokenizer_config.json", j.dump(2) + "\n");
}

}  // namespace

void copy_tokenizer(const std::string& from, const std::string& folder) {
  LM_CHECK(fs::exists(from), ErrorCode::not_found, "tokenizer \"{}\" does not exist", from);
  if (from.ends_with(".gguf")) {
    write_tokenizer_files(GgufFile::open(from), folder);
    return;
  }
  const fs::path source = fs::is_directory(from) ? fs::path(from) : fs::path(from).parent_path();
  if (!fs::is_directory(from)) {
    LM_CHECK(fs::path(from).extension() == ".json", ErrorCode::unsupported,
             "tokenizer \"{}\"; expected a tokenizer.json, a folder or a .gguf file", from);
    put(folder, "tokenizer.json", read_file(from));
  }
  for (const char* name : kFiles)
    if (fs::exists(source / name) && !fs::exists(fs::path(folder) / name))
      put(folder, name, read_file((source / name).string()));
  if (!fs::exists(fs::path(folder) / "tokenizer_config.json")) write_config(folder);
}

}  // namespace lm
