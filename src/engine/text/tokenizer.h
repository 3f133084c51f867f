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

// Two texts as one sequence, for models that compare them (rerankers, BERT).
struct EncodedPair {
  std::vector<int32_t> ids, type_ids;  // of the same length; type_ids say which text a token is of
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

  // Ids and token types of two texts, with the special tokens between and around them that the
  // model's files say (with add_special), else the ids of one after the other with types 0 and 1.
  EncodedPair encode_pair(std::string_view first, std::string_view second,
                          const EncodeOptions& options = {}) const;

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
  // decode() drops space at the very beginning (SentencePiece's dummy prefix); a stream that starts
  // a text must too.
  bool strips_leading_space() const;
  // Drops that space from the first bytes of a text.
  std::string_view without_leading_space(std::string_view bytes) const;
  // decode() drops one space at the very end, which only says that a word ended.
  bool strips_trailing_space() const;
  // "bpe (byte level)", "bpe (SentencePiece)", "unigram", "wordpiece" ...
  const std::string& kind() const;
  // What the loader had to assume, for the user to see; empty when nothing.
  const std::string& warning() const;

 private:
  void check_id(const char* function, int32_t id) const;
  void append_ids(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const;
  std::unique_ptr<TokenizerParts> parts_;
};

// From any file or folder below, told apart by name and content. Throws not_found, io, bad_file,
// unsupported.
std::shared_ptr<const Tokenizer> open_tokenizer(const std::string& path);

// From the tokenizer.ggml.* keys. Throws unsupported for tokenizer kinds and pre-tokenizers that
// are not known (naming those that are), bad_file for metadata that contradicts itself. Does not
// refer to `file` afterwards.
std::shared_ptr<const Tokenizer> load_tokenizer(const GgufFile& file);
// From a Hugging Face folder: tokenizer.json, or else the first of vocab.json + merges.txt,
// SentencePiece .model, vocab.txt, tekken.json, .tiktoken, RWKV vocabulary; and what
// tokenizer_config.json, special_tokens_map.json and generation_config.json say about special
// tokens. Throws not_found for a folder without any of these.
std::shared_ptr<const Tokenizer> load_tokenizer_folder(const std::string& folder);
// The same, but null for a folder without any of these.
std::shared_ptr<const Tokenizer> find_tokenizer_folder(const std::string& folder);
// Stands in for a tokenizer in models without one: `size` ids without text; encode throws
// unsupported.
std::shared_ptr<const Tokenizer> no_tokenizer(int64_t size);
// From the bytes of one file; `name` is used in messages.
// A tokenizer.json alone:
std::shared_ptr<const Tokenizer> load_tokenizer_json(std::string_view json,
                                                     const std::string& name);
// A SentencePiece model (BPE or Unigram), a protobuf message:
std::shared_ptr<const Tokenizer> load_tokenizer_sentencepiece(std::string_view bytes,
                                                              const std::string& name);
// tiktoken ranks: lines of base64 and rank. The pattern and the special tokens are those of the
// published encoding with as many ranks:
std::shared_ptr<const Tokenizer> load_tokenizer_tiktoken(std::string_view text,
                                                         const std::string& name);
// Mistral's tekken.json:
std::shared_ptr<const Tokenizer> load_tokenizer_tekken(std::string_view json,
                                                       const std::string& name);
// RWKV World: lines of id, Python literal, number of bytes:
std::shared_ptr<const Tokenizer> load_tokenizer_rwkv(std::string_view text,
                                                     const std::string& name);
// From llama2.c's tokenizer.bin / tok512.bin.
std::shared_ptr<const Tokenizer> load_tokenizer_llama2c(const std::string& path);
std::shared_ptr<const Tokenizer> parse_tokenizer_llama2c(std::span<const std::byte> bytes,
                                                         const std::string& name);

}  // namespace lm
