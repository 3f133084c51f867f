// Where chat templates are kept: GGUF metadata, Hugging Face folders, files.
#pragma once

#include <string>

namespace lm {

struct ChatTemplateFile {
  std::string source;                // the template's text
  std::string bos_token, eos_token;  // as the files spell them; empty where they do not say
};

// Reads the template `name` ("default", "tool_use", "rag" ...) of a .gguf file, a Hugging Face
// folder (chat_template.jinja, or chat_template of tokenizer_config.json or chat_template.json), a
// .json file of these, or any other file as the template itself. Throws not_found when there is
// none (naming those there are), io, bad_file.
ChatTemplateFile read_chat_template(const std::string& path, const std::string& name = "default");

// The default template of a Hugging Face folder; empty when there is none. Throws io, bad_file.
std::string chat_template_in(const std::string& folder);

}  // namespace lm
