// Text <-> token ids. One immutable object per vocabulary, shared by every thread that needs it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

class GgufFile;
struct TokenizerParts;  // tokenizer_parts.h: what a loader fills in

struct EncodeOptions {
  bool add_special =
      true;  // the tokens the model wants around a text (BOS, [CLS] ..., as its files say)
  bool parse_special =
      false;  // control tokens written in the text become those tokens; else they are plain text
};

class Tokenizer {
 public:
  explicit Tokenizer(std::unique_ptr<TokenizerParts> parts);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ids of a text. Any bytes are accepted; byte-level and byte-fallback vocabularies keep
  // ill-formed UTF-8 exactly. Throws bad_option for texts of 2 GiB or more.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // Text of ids, as valid UTF-8 (ill-formed sequences become U+FFFD). skip_special leaves out
  // control tokens. Throws bad_option for an id outside [0, size()).
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  // The bytes that a token adds inside a text: " the" for "Ġthe" and "▁the", one byte for "<0x0A>".
  // May be a part of a character. Throws bad_option for an id outside [0, size()).
  std::string_view token_bytes(int32_t id) const;
  // The token as its file spells it: "Ġthe", "▁the", "<0x0A>".
  std::string_view token_text(int32_t id) const;
  // The id of a token spelled as in its file, or -1.
  int32_t id_of(std::string_view text) const;

  int32_t size() const;
  // -1 where the model has none.
  int32_t bos() const;
  int32_t pad() const;
  int32_t unk() const;
  // Ids that end a generation: end of text, of turn and of message; the model's main one first,
  // each once.
  const std::vector<int32_t>& eos() const;
  bool is_eos(int32_t id) const;
  // Control tokens: no text to show; never to be produced from plain text.
  bool is_special(int32_t id) const;
  // Whether encode with add_special puts BOS in front.
  bool add_bos() const;
  // decode() drops one space at the very beginning (SentencePiece's dummy prefix); a stream that
  // starts a text must too.
  bool strips_leading_space() const;
  // "bpe (byte level)", "bpe (SentencePiece)"
  const std::string& kind() const;
  // What the loader had to assume, for the user to see; empty when nothing.
  const std::string& warning() const;

 private:
  void check_id(const char* function, int32_t id) const;
  std::unique_ptr<TokenizerParts> parts_;
};

// From the tokenizer.ggml.* keys. Throws unsupported for tokenizer kinds and pre-tokenizers that
// are not known (naming those that are), bad_file for metadata that contradicts itself. Does not
// refer to `file` afterwards.
std::shared_ptr<const Tokenizer> load_tokenizer(const GgufFile& file);
// From a Hugging Face folder: tokenizer.json, and what tokenizer_config.json,
// special_tokens_map.json and generation_config.json say about special tokens.
std::shared_ptr<const Tokenizer> load_tokenizer_folder(const std::string& folder);
// From the text of a tokenizer.json alone; `name` is used in messages.
std::shared_ptr<const Tokenizer> load_tokenizer_json(std::string_view json,
                                                     const std::string& name);
// From llama2.c's tokenizer.bin / tok512.bin.
std::shared_ptr<const Tokenizer> load_tokenizer_llama2c(const std::string& path);
// The same from bytes; `name` is used in messages.
std::shared_ptr<const Tokenizer> parse_tokenizer_llama2c(std::span<const std::byte> bytes,
                                                         const std::string& name);

}  // namespace lm
