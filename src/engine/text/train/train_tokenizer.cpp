#include "engine/text/train/train_tokenizer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/hf_steps.h"
#include "engine/text/split_words.h"
#include "engine/text/train/bpe_trainer.h"
#include "engine/text/train/unigram_trainer.h"
#include "engine/text/train/word_counts.h"
#include "engine/text/unicode.h"

namespace lm {

using json = nlohmann::ordered_json;

namespace {

// Steps of a tokenizer.json, as Hugging Face writes them.
json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}
json split_then_bytes(WordSplit kind) {
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", word_split_pattern(kind)}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}
json metaspace() {
  return {{"type", "Metaspace"},
          {"replacement", "\xE2\x96\x81"},
          {"prepend_scheme", "always"},
          {"split", true}};
}
json bert_normalizer_step() {
  return {{"type", "BertNormalizer"},
          {"clean_text", true},
          {"handle_chinese_chars", true},
          {"strip_accents", nullptr},
          {"lowercase", true}};
}

// What a way of cutting words brings along. Add one: a row.
struct Recipe {
  const char* name;
  bool bytes;  // tokens are in GPT-2's byte alphabet
  json normalizer, pre_tokenizer, decoder;
};
const std::vector<Recipe>& recipes() {
  static const json none = nullptr;
  static const json decoder_bytes = byte_level(true);
  static const std::vector<Recipe> list = {
      {"gpt2", true, none, byte_level(true), decoder_bytes},
      {"llama3", true, none, split_then_bytes(WordSplit::llama3), decoder_bytes},
      {"qwen2", true, {{"type", "NFC"}}, split_then_bytes(WordSplit::qwen2), decoder_bytes},
      {"metaspace", false, none, metaspace(), metaspace()},
      {"bert",
       false,
       bert_normalizer_step(),
       {{"type", "BertPreTokenizer"}},
       {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"whitespace", false, none, {{"type", "Whitespace"}}, none},
  };
  return list;
}

const Recipe& find_recipe(const TokenizerTraining& o) {
  std::string name = o.pre_tokenizer;
  if (name == "auto") name = o.kind == "bpe" ? "gpt2" : o.kind == "unigram" ? "metaspace" : "bert";
  for (const Recipe& r : recipes()) {
    if (name != r.name) continue;
    LM_CHECK(!r.bytes || o.kind == "bpe", ErrorCode::bad_option,
             "train: pre_tokenizer \"{}\" with kind \"{}\"; byte-level words are for bpe", name,
             o.kind);
    return r;
  }
  raise(ErrorCode::bad_option, "train: pre_tokenizer \"{}\"; expected auto or one of {}", name,
        fmt::join(train_pre_tokenizers(), ", "));
}

// Byte-level words are learnt in the byte alphabet, where every byte is a character.
void to_byte_alphabet(std::vector<std::pair<std::string, uint64_t>>& words) {
  for (auto& [word, count] : words) {
    std::string mapped;
    for (const char c : word) append_utf8(mapped, byte_level_char(static_cast<uint8_t>(c)));
    word = std::move(mapped);
  }
}

// What goes into the counts.
using Fill = std::function<void(WordCounts& counts)>;

std::vector<std::pair<std::string, uint64_t>> count_words(const Fill& fill, const Recipe& recipe,
                                                          const TokenizerTraining& o) {
  TokenizerParts parts;
  add_normalizers(nlohmann::json(recipe.normalizer), parts);
  add_pre_tokenizers(nlohmann::json(recipe.pre_tokenizer), parts, false);
  WordCounts counts(parts, o.kind != "unigram");
  fill(counts);
  auto words = counts.sorted();
  LM_CHECK(!words.empty(), ErrorCode::bad_option, "train: the files hold no words; expected text");
  if (recipe.bytes) to_byte_alphabet(words);
  return words;
}

std::vector<std::string> special_tokens(const TokenizerTraining& o, const std::string& unk) {
  std::vector<std::string> special = o.special_tokens;
  if (!unk.empty() && std::find(special.begin(), special.end(), unk) == special.end())
    special.insert(special.begin(), unk);
  return special;
}

// A long object would be searched for each new key: it is written apart and put in the place of
// this text.
constexpr const char* kVocabHere = "<the vocabulary>";

std::string vocab_text(const std::vector<std::string>& tokens) {
  std::string out = "{";
  for (size_t i = 0; i < tokens.size(); ++i)
    out += fmt::format("{}\n      {}: {}", i > 0 ? "," : "",
                       json(tokens[i]).dump(-1, ' ', false, json::error_handler_t::replace), i);
  return out + "\n    }";
}

TrainedBpe run_bpe(const std::vector<std::pair<std::string, uint64_t>>& words,
                   const TokenizerTraining& o, const Recipe& recipe, const std::string& unk,
                   const std::string& prefix) {
  BpeTraining b;
  b.vocab_size = o.vocab_size;
  b.min_frequency = o.min_frequency;
  b.special_tokens = special_tokens(o, unk);
  b.initial_alphabet = o.initial_alphabet;
  b.limit_alphabet = o.limit_alphabet;
  b.max_token_length = o.max_token_length;
  b.continuing_prefix = prefix;
  if (recipe.bytes) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      b.initial_alphabet.emplace_back();
      append_utf8(b.initial_alphabet.back(), byte_level_char(static_cast<uint8_t>(byte)));
    }
  }
  if (o.progress) b.progress = [&](double fraction) { o.progress("merging pairs", fraction); };
  return train_bpe(words, b);
}

json bpe_model(const TrainedBpe& trained, const std::string& unk) {
  json merges = json::array();
  for (const auto& [left, right] : trained.merges)
    merges.push_back(
        {trained.tokens[static_cast<size_t>(left)], trained.tokens[static_cast<size_t>(right)]});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk.empty() ? json(nullptr) : json(unk)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", kVocabHere},
          {"merges", std::move(merges)}};
}

json wordpiece_model(const std::string& unk) {
  return {{"type", "WordPiece"},
          {"unk_token", unk},
          {"continuing_subword_prefix", "##"},
          {"max_input_chars_per_word", 100},
          {"vocab", kVocabHere}};
}

json unigram_model(const std::vector<std::pair<std::string, uint64_t>>& words,
                   const TokenizerTraining& o, const std::vector<std::string>& special,
                   const std::string& unk) {
  UnigramTraining u;
  LM_CHECK(o.vocab_size > special.size(), ErrorCode::bad_option,
           "train: vocab_size {} with {} special tokens; expected more", o.vocab_size,
           special.size());
  u.vocab_size = o.vocab_size - special.size();
  u.initial_alphabet = o.initial_alphabet;
  u.limit_alphabet = o.limit_alphabet;
  u.max_piece_length = std::min<size_t>(o.max_token_length, 16);
  if (o.progress) u.progress = [&](double fraction) { o.progress("pruning pieces", fraction); };
  json vocab = json::array();
  for (const std::string& s : special) vocab.push_back({s, 0.0});
  for (const auto& [piece, score] : train_unigram(words, u)) {
    if (std::find(special.begin(), special.end(), piece) == special.end())
      vocab.push_back({piece, score});
  }
  const auto at = std::find(special.begin(), special.end(), unk) - special.begin();
  return {
      {"type", "Unigram"}, {"unk_id", at}, {"vocab", std::move(vocab)}, {"byte_fallback", false}};
}

json added_tokens(const std::vector<std::string>& special) {
  json list = json::array();
  for (size_t i = 0; i < special.size(); ++i)
    list.push_back({{"id", i},
                    {"content", special[i]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", true}});
  return list;
}

std::string train_on_words(const Fill& fill, const TokenizerTraining& o);

}  // namespace

const std::vector<std::string>& train_pre_tokenizers() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Recipe& r : recipes()) list.emplace_back(r.name);
    return list;
  }();
  return names;
}

std::string train_tokenizer(const LineSource& lines, const TokenizerTraining& o) {
  return train_on_words(
      [&](WordCounts& counts) { lines([&](std::string_view line) { counts.add_line(line); }); }, o);
}

std::string train_tokenizer(const std::vector<std::string>& files, const TokenizerTraining& o) {
  const auto fill = [&](WordCounts& counts) {
    for (size_t i = 0; i < files.size(); ++i) {
      counts.add_file(files[i], [&](double fraction) {
        if (o.progress)
          o.progress("counting words",
                     (static_cast<double>(i) + fraction) / static_cast<double>(files.size()));
      });
    }
  };
  return train_on_words(fill, o);
}

namespace {

std::string train_on_words(const Fill& fill, const TokenizerTraining& o) {
  LM_CHECK(o.kind == "bpe" || o.kind == "unigram" || o.kind == "wordpiece", ErrorCode::bad_option,
           "train: kind \"{}\"; expected bpe, unigram or wordpiece", o.kind);
  LM_CHECK(o.vocab_size <= static_cast<size_t>(Vocab::kMaxTokens), ErrorCode::bad_option,
           "train: vocab_size {}; expected at most {}", o.vocab_size, Vocab::kMaxTokens);
  const Recipe& recipe = find_recipe(o);
  std::string unk = o.unk_token;
  if (unk.empty() && o.kind != "bpe") unk = o.kind == "unigram" ? "<unk>" : "[UNK]";
  const std::vector<std::string> special = special_tokens(o, unk);
  const auto words = count_words(fill, recipe, o);
  json model;
  std::string vocab;
  if (o.kind == "unigram") {
    model = unigram_model(words, o, special, unk);
  } else {
    const bool bpe = o.kind == "bpe";
    const TrainedBpe trained = run_bpe(words, o, recipe, unk, bpe ? "" : "##");
    model = bpe ? bpe_model(trained, unk) : wordpiece_model(unk);
    vocab = vocab_text(trained.tokens);
  }
  const json root = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens(special)},
                     {"normalizer", recipe.normalizer},
                     {"pre_tokenizer", recipe.pre_tokenizer},
                     {"post_processor", nullptr},
                     {"decoder", recipe.decoder},
                     {"model", std::move(model)}};
  std::string text = root.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  const std::string here = json(kVocabHere).dump();
  if (!vocab.empty()) text.replace(text.rfind(here), here.size(), vocab);
  return text;
}

}  // namespace
}  // namespace lm
