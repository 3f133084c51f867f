// What the writers of tokenizer.ggml.* keys share. Internal to export.
#pragma once

#include <string>

#include "engine/formats/gguf_writer.h"

namespace lm {

// Token types of GGUF.
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUser = 4,
  kUnused = 5,
  kByte = 6
};

// Ids of special tokens, what stands around a text, and the chat template, as the folder's files
// say; wordpiece: texts end with [SEP].
void set_special_keys(const std::string& folder, bool wordpiece, GgufMetadata* metadata);

// The keys of a folder without tokenizer.json: from a SentencePiece model. A folder without any
// tokenizer says so. Throws unsupported for other kinds of files.
void set_older_tokenizer(const std::string& folder, int64_t vocab_size, GgufMetadata* metadata);

}  // namespace lm
