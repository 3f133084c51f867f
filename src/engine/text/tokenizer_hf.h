// Reading tokenizer files into parts, which the folder loader completes from the files beside them.
// Internal to engine/text.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lm {

struct TokenizerParts;

// Throws bad_file, unsupported. `name` is used in messages.
// `more_added`: further added tokens, from tokenizer_config.json; may be null.
std::unique_ptr<TokenizerParts> read_tokenizer_json(std::string_view text, const std::string& name,
                                                    const nlohmann::json* more_added = nullptr);

std::unique_ptr<TokenizerParts> read_tokenizer_sentencepiece(std::string_view bytes,
                                                             const std::string& name);
std::unique_ptr<TokenizerParts> read_tokenizer_tiktoken(std::string_view text,
                                                        const std::string& name);
// Whether a file is lines of base64 and a number; Meta named such files .model as well.
bool looks_like_tiktoken(std::string_view bytes);
std::unique_ptr<TokenizerParts> read_tokenizer_tekken(std::string_view text,
                                                      const std::string& name);
std::unique_ptr<TokenizerParts> read_tokenizer_rwkv(std::string_view text, const std::string& name);
// Adds tokens as "added_tokens" of a tokenizer.json lists them: [{"id", "content", "special",
// "normalized", "lstrip", "rstrip", "single_word"}]; those that are there already stay as they are.
// Their decoded bytes are the caller's business.
void add_hf_added_tokens(const nlohmann::json& list, TokenizerParts& parts);
// BERT's vocab.txt: a token on each line. lowercase: as the model was trained.
std::unique_ptr<TokenizerParts> read_tokenizer_bert(std::string_view text, const std::string& name,
                                                    bool lowercase);
// vocab.json (an object of ids) and merges.txt of a byte-level BPE. `tokenizer_class`, from
// tokenizer_config.json or empty, decides how text is cut into words.
std::unique_ptr<TokenizerParts> read_tokenizer_vocab_merges(std::string_view vocab,
                                                            std::string_view merges,
                                                            const std::string& name,
                                                            const std::string& tokenizer_class);

}  // namespace lm
