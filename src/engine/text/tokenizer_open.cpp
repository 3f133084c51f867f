// Finds out what kind of tokenizer a path is.
#include <filesystem>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/text/json_reader.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

namespace {

// tekken.json and tokenizer.json are told apart by their members.
bool is_tekken(std::string_view text, const std::string& name) {
  JsonReader in(text, name);
  bool config = false, vocab = false;
  if (in.peek() != '{') return false;
  in.begin_object();
  for (std::string_view key; in.next_key(&key);) {
    if (key == "model" || key == "added_tokens") return false;
    config = config || key == "config";
    vocab = vocab || key == "vocab";
    in.skip_value();
  }
  return config && vocab;
}

// A line of an RWKV vocabulary: an id and a Python literal.
bool looks_like_rwkv(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view rest = text.substr(digits);
  return digits > 0 && (rest.starts_with(" '") || rest.starts_with(" \"") ||
                        rest.starts_with(" b'") || rest.starts_with(" b\""));
}

}  // namespace

std::shared_ptr<const Tokenizer> open_tokenizer(const std::string& path) {
  if (std::filesystem::is_directory(path)) return load_tokenizer_folder(path);
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()),
                               file.bytes().size());
  if (bytes.starts_with("GGUF")) return load_tokenizer(GgufFile::open(path));
  if (path.ends_with(".json")) {
    if (is_tekken(bytes, path)) return load_tokenizer_tekken(bytes, path);
    const auto name = std::filesystem::path(path).filename();
    // Alone in a folder of a model, a tokenizer.json is completed by the files beside it.
    if (name == "tokenizer.json" || name == "vocab.json")
      return load_tokenizer_folder(std::filesystem::path(path).parent_path().string());
    return load_tokenizer_json(bytes, path);
  }
  if (looks_like_tiktoken(bytes)) return load_tokenizer_tiktoken(bytes, path);
  if (looks_like_rwkv(bytes)) return load_tokenizer_rwkv(bytes, path);
  if (path.ends_with(".bin")) return parse_tokenizer_llama2c(file.bytes(), path);
  if (path.ends_with("vocab.txt"))
    return std::make_shared<const Tokenizer>(read_tokenizer_bert(bytes, path, true));
  LM_CHECK(
      path.ends_with(".model") || bytes.starts_with('\n'), ErrorCode::unsupported,
      "load: {} is no tokenizer of a known kind; expected tokenizer.json, tekken.json, .model, "
      ".tiktoken, .gguf, vocab.txt, rwkv_vocab*.txt or a folder with one of them",
      path);
  return load_tokenizer_sentencepiece(bytes, path);
}

}  // namespace lm
