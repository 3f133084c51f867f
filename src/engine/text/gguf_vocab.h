// What all tokenizer kinds of GGUF files share: the token list and the ids of special tokens.
// Internal to engine/text. Source: ggml docs/gguf.md.
#pragma once

#include <string>

#include "engine/formats/gguf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

// "tokenizer.ggml.<name>"
std::string gguf_key(const char* name);

// The token list with its kinds.
void read_gguf_vocab(const GgufFile& file, TokenizerParts& p);

// A token id from the metadata; `fallback` when absent. Ids outside the vocabulary are an error,
// except that 0xFFFFFFFF (written by some converters) means absent.
int32_t gguf_special_id(const GgufFile& file, const Vocab& vocab, const char* name,
                        int32_t fallback = -1);

// Scores, one for each token.
std::vector<float> read_gguf_scores(const GgufFile& file, const Vocab& vocab);

// Control, unknown and user-defined tokens are found in the text before anything else.
void read_gguf_added_tokens(const GgufFile& file, TokenizerParts& p, bool sentencepiece);

// bos, eos, pad, unk and what encode puts around a text, where the file does not say otherwise.
void read_gguf_special_ids(const GgufFile& file, TokenizerParts& p, bool add_bos, bool add_eos);

// Loaders of the kinds, by tokenizer.ggml.model.
void load_gguf_bert(const GgufFile& file, TokenizerParts& p);
void load_gguf_bpe(const GgufFile& file, TokenizerParts& p);
void load_gguf_none(const GgufFile& file, TokenizerParts& p);
// `size` ids without text.
void fill_no_tokenizer(int64_t size, TokenizerParts& p);
void load_gguf_rwkv(const GgufFile& file, TokenizerParts& p);
void load_gguf_sentencepiece(const GgufFile& file, TokenizerParts& p);
void load_gguf_unigram(const GgufFile& file, TokenizerParts& p);

}  // namespace lm
