// SentencePiece .model files as the tokenizer.ggml.* keys of GGUF, which were made after them.
#include <filesystem>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_tokenizer.h"
#include "engine/text/sentencepiece_file.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"

namespace lm {
namespace fs = std::filesystem;
namespace {

void set_sentencepiece(const std::string& folder, const std::string& path, int64_t vocab_size,
                       GgufMetadata* m) {
  Vocab vocab;
  SentencePieceFile file = read_sentencepiece_file(read_file(path), path, vocab);
  // Tokens that other files of the folder add, or make special.
  const auto tokenizer = load_tokenizer_folder(folder);
  LM_CHECK(vocab.size() <= tokenizer->size() && tokenizer->size() <= vocab_size,
           ErrorCode::bad_file, "{} has {} tokens; the embedding has {} rows", path,
           tokenizer->size(), vocab_size);
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (int32_t id = 0; id < static_cast<int32_t>(vocab_size); ++id) {
    const bool known = id < tokenizer->size(), piece = id < vocab.size();
    tokens.emplace_back(known ? tokenizer->token_text(id) : "[PAD" + std::to_string(id) + "]");
    const int32_t type = piece ? static_cast<int32_t>(vocab.kind(id)) : known ? kUser : kUnused;
    const bool special = known && tokenizer->is_special(id) && type != kUnknown;
    types.push_back(special ? kControl : type);
  }
  file.scores.resize(tokens.size(), 0.0f);
  const bool bpe = file.model_type == SentencePieceFile::kBpe;
  LM_CHECK(bpe || (file.model_type == SentencePieceFile::kUnigram && !file.byte_fallback),
           ErrorCode::unsupported,
           "{}: SentencePiece type {}{}; GGUF has BPE, and Unigram without byte fallback", path,
           file.model_type, file.byte_fallback ? " with byte fallback" : "");
  m->set_string("tokenizer.ggml.model", bpe ? "llama" : "t5");
  m->set_string("tokenizer.ggml.pre", "default");
  m->set_strings("tokenizer.ggml.tokens", tokens);
  m->set_floats("tokenizer.ggml.scores", file.scores);
  m->set_i32s("tokenizer.ggml.token_type", types);
  m->set_bool("tokenizer.ggml.add_space_prefix", file.rules.add_dummy_prefix);
  if (!bpe) {
    m->set_bool("tokenizer.ggml.remove_extra_whitespaces", file.rules.remove_extra_whitespaces);
    if (!file.charsmap.empty()) m->set_u8s("tokenizer.ggml.precompiled_charsmap", file.charsmap);
  }
  set_special_keys(folder, false, m);
}

bool has_tokenizer(const std::string& folder) {
  try {
    load_tokenizer_folder(folder);
    return true;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::not_found) throw;
    return false;
  }
}

}  // namespace

void set_older_tokenizer(const std::string& folder, int64_t vocab_size, GgufMetadata* m) {
  if (!has_tokenizer(folder)) {
    m->set_string("tokenizer.ggml.model", "none");
    return;
  }
  const bool vocab_files =
      fs::exists(folder + "/vocab.json") || fs::exists(folder + "/tekken.json");
  for (const char* name : {"/tokenizer.model", "/spiece.model"}) {
    const std::string path = folder + name;
    if (vocab_files || !fs::exists(path) || looks_like_tiktoken(read_file(path))) continue;
    set_sentencepiece(folder, path, vocab_size, m);
    return;
  }
  raise(ErrorCode::unsupported,
        "{} has a tokenizer, but neither tokenizer.json nor a SentencePiece model, of which GGUF's "
        "keys can be made",
        folder);
}

}  // namespace lm
