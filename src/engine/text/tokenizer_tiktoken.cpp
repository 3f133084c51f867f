// Tokenizers from tables of byte strings with merge ranks: tiktoken files and Mistral's
// tekken.json. Sources: openai/tiktoken tiktoken/load.py and tiktoken_ext/openai_public.py,
// meta-llama models/llama3/tokenizer.py, QwenLM tokenization_qwen.py, mistralai/mistral-common
// tekken.py.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"
#include "engine/text/base64.h"
#include "engine/text/gguf_pre_list.h"
#include "engine/text/hf_json.h"
#include "engine/text/json_reader.h"
#include "engine/text/scored_bpe.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_hf.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

namespace {

// A rank file holds neither the pattern nor the special tokens; the number of ranks tells which
// encoding it is.
struct Encoding {
  size_t n_ranks;
  const char* name;
  const char* family;  // of gguf_pre_list.h: how text is cut into words
  std::vector<std::pair<int32_t, const char*>> special;
  bool add_bos = false;
};

const std::vector<Encoding>& encodings() {
  static const std::vector<Encoding> list = {
      {50256, "r50k_base", "gpt-2", {{50256, "<|endoftext|>"}}},
      {50280, "p50k_base", "gpt-2", {{50256, "<|endoftext|>"}}},
      {100256,
       "cl100k_base",
       "llama3",
       {{100257, "<|endoftext|>"},
        {100258, "<|fim_prefix|>"},
        {100259, "<|fim_middle|>"},
        {100260, "<|fim_suffix|>"},
        {100276, "<|endofprompt|>"}}},
      {128000,
       "llama3",
       "llama3",
       {{128000, "<|begin_of_text|>"},
        {128001, "<|end_of_text|>"},
        {128004, "<|finetune_right_pad_id|>"},
        {128006, "<|start_header_id|>"},
        {128007, "<|end_header_id|>"},
        {128008, "<|eom_id|>"},
        {128009, "<|eot_id|>"},
        {128010, "<|python_tag|>"}},
       true},
      {151643,
       "qwen",
       "qwen2",
       {{151643, "<|endoftext|>"}, {151644, "<|im_start|>"}, {151645, "<|im_end|>"}}},
      {163584,
       "kimi_k2",
       "kimi-k2",
       {{163584, "[BOS]"}, {163585, "[EOS]"}, {163586, "<|im_end|>"}}},
      {199998, "o200k_base", "gpt-4o", {{199999, "<|endoftext|>"}, {200018, "<|endofprompt|>"}}},
  };
  return list;
}

struct Rank {
  int32_t id;
  std::string bytes;
};

// The tokens under their ids, holes left empty.
void set_tokens(std::vector<Rank>& ranks, const std::string& name, Vocab& vocab) {
  std::sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.id < b.id; });
  vocab.reserve(ranks.size() + 512, ranks.size() * 10);
  for (const Rank& r : ranks) {
    LM_CHECK(r.id >= vocab.size(), ErrorCode::bad_file, "load: {}: rank {} comes twice", name,
             r.id);
    vocab.pad_to(r.id);
    vocab.add(r.bytes);
  }
}

void add_special(TokenizerParts& p, std::vector<AddedToken>& added, int32_t id,
                 const std::string& text) {
  if (id >= p.vocab.size()) p.vocab.pad_to(id + 1);
  LM_CHECK(p.vocab.text(id).empty(), ErrorCode::bad_file,
           "load: {}: id {} is both \"{}\" and the special token \"{}\"", p.name, id,
           p.vocab.text(id), text);
  p.vocab.fill(id, text, TokenKind::control);
  p.mark_special(id);
  added.push_back({text, id, true});
}

// The lowest rank merges first; ranks are ids but for a constant.
void finish(TokenizerParts& p) {
  p.vocab.set_bytes([&](int32_t id, std::string& out) { out += p.vocab.text(id); });
  std::vector<float> scores(static_cast<size_t>(p.vocab.size()));
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  ScoredBpeOptions options;
  options.bytes = true;
  options.whole_words = true;
  p.model = std::make_unique<ScoredBpe>(p.vocab, scores, options);
  add_known_eos(p);
}

std::vector<Rank> read_ranks(std::string_view text, const std::string& name) {
  std::vector<Rank> ranks;
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = std::min(line.find(' '), line.size());
    Rank rank{-1, {}};
    const std::string_view number = line.substr(std::min(space + 1, line.size()));
    const auto [last, error] =
        std::from_chars(number.data(), number.data() + number.size(), rank.id);
    LM_CHECK(error == std::errc() && last == number.data() + number.size() && rank.id >= 0 &&
                 rank.id < Vocab::kMaxTokens && append_base64(rank.bytes, line.substr(0, space)) &&
                 !rank.bytes.empty(),
             ErrorCode::bad_file, "load: {}, line {}: expected base64, a space and a rank", name,
             line_number);
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_tiktoken(std::string_view text,
                                                        const std::string& name) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  std::vector<Rank> ranks = read_ranks(text, name);
  LM_CHECK(!ranks.empty(), ErrorCode::bad_file, "load: {} has no ranks", name);
  const auto& list = encodings();
  const auto encoding = std::find_if(list.begin(), list.end(),
                                     [&](const Encoding& e) { return e.n_ranks == ranks.size(); });
  const size_t n_ranks = ranks.size();
  set_tokens(ranks, name, p.vocab);
  p.kind = "bpe (tiktoken ranks)";
  const char* family = "llama3";
  if (encoding != list.end()) {
    family = encoding->family;
    std::vector<AddedToken> added;
    for (const auto& [id, special] : encoding->special) add_special(p, added, id, special);
    const int32_t first = added[0].id;
    if (encoding->add_bos) {
      p.bos = first;
      p.prefix = {first};
      p.add_eos(first + 1);
    } else {
      p.add_eos(first);
    }
    p.added_raw = AddedTokens(std::move(added));
  } else {
    p.warning = fmt::format(
        "{} ranks are no published encoding; words are cut as for cl100k_base, and there are no "
        "special tokens",
        n_ranks);
  }
  p.pre_tokenizers = make_pre_tokenizers(*find_gguf_pre_family(family));
  finish(p);
  return parts;
}

namespace {

// Ids of special tokens in files that do not list them (before 2025).
constexpr const char* kTekkenSpecial[] = {"<unk>",
                                          "<s>",
                                          "</s>",
                                          "[INST]",
                                          "[/INST]",
                                          "[AVAILABLE_TOOLS]",
                                          "[/AVAILABLE_TOOLS]",
                                          "[TOOL_RESULTS]",
                                          "[/TOOL_RESULTS]",
                                          "[TOOL_CALLS]",
                                          "[IMG]",
                                          "<pad>",
                                          "[IMG_BREAK]",
                                          "[IMG_END]",
                                          "[PREFIX]",
                                          "[MIDDLE]",
                                          "[SUFFIX]",
                                          "[SYSTEM_PROMPT]",
                                          "[/SYSTEM_PROMPT]",
                                          "[TOOL_CONTENT]"};

// [{"rank": 0, "token_bytes": "AA==", "token_str": ...}, ...]; ids follow the special tokens.
std::vector<Rank> read_tekken_vocab(std::string_view text, const std::string& name,
                                    int32_t n_special, int32_t n_ranks) {
  std::vector<Rank> ranks;
  JsonReader in(text, name + " (vocab)");
  in.begin_array();
  while (in.next_element()) {
    Rank rank{-1, {}};
    in.begin_object();
    for (std::string_view key; in.next_key(&key);) {
      if (key == "rank") {
        const int64_t value = in.read_integer();
        LM_CHECK(value >= 0 && value < Vocab::kMaxTokens / 2, ErrorCode::bad_file,
                 "load: {}: rank {}; expected 0 to {}", name, value, Vocab::kMaxTokens / 2 - 1);
        rank.id = static_cast<int32_t>(value) + n_special;
      } else if (key == "token_bytes") {
        LM_CHECK(append_base64(rank.bytes, in.read_string()), ErrorCode::bad_file,
                 "load: {}: token {} is not base64", name, ranks.size());
      } else {
        in.skip_value();
      }
    }
    LM_CHECK(rank.id >= 0 && !rank.bytes.empty(), ErrorCode::bad_file,
             "load: {}: token {} lacks its rank or its bytes", name, ranks.size());
    if (rank.id - n_special < n_ranks) ranks.push_back(std::move(rank));
  }
  in.end();
  return ranks;
}

void set_tekken_special(const nlohmann::json& list, int32_t n_special, TokenizerParts& p) {
  std::vector<std::string> names(static_cast<size_t>(n_special));
  for (size_t i = 0; i < names.size(); ++i) {
    const bool known = list.is_null() && i < std::size(kTekkenSpecial);
    names[i] = known ? kTekkenSpecial[i] : fmt::format("<SPECIAL_{}>", i);
  }
  if (list.is_array()) {
    for (const nlohmann::json& entry : list)
      names[static_cast<size_t>(json_id(json_field(entry, "rank"), "special_tokens.rank",
                                        n_special))] = json_string(entry, "token_str");
  }
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < n_special; ++id)
    add_special(p, added, id, names[static_cast<size_t>(id)]);
  p.added_raw = AddedTokens(std::move(added));
}

}  // namespace

std::unique_ptr<TokenizerParts> read_tokenizer_tekken(std::string_view text,
                                                      const std::string& name) {
  auto parts = std::make_unique<TokenizerParts>();
  TokenizerParts& p = *parts;
  p.name = name;
  p.kind = "bpe (tekken)";
  std::string_view vocab, config_text = "null", special_text = "null";
  JsonReader in(text, name);
  in.begin_object();
  for (std::string_view key; in.next_key(&key);) {
    const std::string owned(key);
    const std::string_view value = in.skip_value();
    if (owned == "vocab") vocab = value;
    if (owned == "config") config_text = value;
    if (owned == "special_tokens") special_text = value;
  }
  in.end();
  const nlohmann::json config = parse_json(config_text, name + " (config)");
  LM_CHECK(config.is_object() && !vocab.empty(), ErrorCode::bad_file,
           "load: {} has no config and vocab; expected a tekken.json", name);
  const int32_t n_special = json_id(json_field(config, "default_num_special_tokens"),
                                    "default_num_special_tokens", 1 << 16);
  const int32_t size =
      json_id(json_field(config, "default_vocab_size"), "default_vocab_size", Vocab::kMaxTokens);
  std::vector<Rank> ranks = read_tekken_vocab(vocab, name, n_special, size - n_special);
  p.vocab.pad_to(n_special);
  set_tokens(ranks, name, p.vocab);
  set_tekken_special(parse_json(special_text, name + " (special_tokens)"), n_special, p);
  p.unk = p.vocab.find("<unk>");
  p.bos = p.vocab.find("<s>");
  p.pad = p.vocab.find("<pad>");
  p.add_eos(p.vocab.find("</s>"));
  if (p.bos >= 0) p.prefix = {p.bos};
  p.pre_tokenizers = {split_by_pattern(json_string(config, "pattern"))};
  finish(p);
  return parts;
}

std::shared_ptr<const Tokenizer> load_tokenizer_tiktoken(std::string_view text,
                                                         const std::string& name) {
  return std::make_shared<const Tokenizer>(read_tokenizer_tiktoken(text, name));
}

std::shared_ptr<const Tokenizer> load_tokenizer_tekken(std::string_view json,
                                                       const std::string& name) {
  return std::make_shared<const Tokenizer>(read_tokenizer_tekken(json, name));
}

}  // namespace lm
