// Tokenizers from the tokenizer.ggml.* metadata of a GGUF file. Source: ggml docs/gguf.md.
#include <algorithm>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "engine/text/bpe.h"
#include "engine/text/gguf_pre_list.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_parts.h"

namespace lm {

namespace {

constexpr const char* kKeyPrefix = "tokenizer.ggml.";

std::string key(const char* name) {
  return std::string(kKeyPrefix) + name;
}

// A token id from the metadata, or -1 when absent. Ids outside the vocabulary are an error, except
// that 0xFFFFFFFF (written by some converters) means absent.
int32_t special_id(const GgufFile& file, const Vocab& vocab, const char* name) {
  const std::optional<int64_t> id = file.get_int(key(name));
  if (!id || *id == -1 || *id == UINT32_MAX) return -1;
  LM_CHECK(*id >= 0 && *id < vocab.size(), ErrorCode::bad_file,
           "load: {}{} is {}; expected 0 to {}", kKeyPrefix, name, *id, vocab.size() - 1);
  return static_cast<int32_t>(*id);
}

void read_vocab(const GgufFile& file, TokenizerParts& p) {
  const std::vector<std::string_view> tokens = file.get_strings(key("tokens"));
  const std::vector<int64_t> kinds = file.get_ints(key("token_type"));
  LM_CHECK(!tokens.empty(), ErrorCode::bad_file,
           "load: the file has no {}tokens; expected a list of strings", kKeyPrefix);
  LM_CHECK(kinds.empty() || kinds.size() == tokens.size(), ErrorCode::bad_file,
           "load: {}token_type has {} entries; expected {} (one per token)", kKeyPrefix,
           kinds.size(), tokens.size());
  size_t bytes = 0;
  for (const std::string_view t : tokens) bytes += t.size();
  p.vocab.reserve(std::min(tokens.size(), static_cast<size_t>(Vocab::kMaxTokens)), bytes);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int64_t kind = kinds.empty() ? 1 : kinds[i];
    p.vocab.add(tokens[i],
                kind >= 1 && kind <= 6 ? static_cast<TokenKind>(kind) : TokenKind::normal);
  }
}

// Control, unknown and user-defined tokens are found in the text before anything else.
void read_added_tokens(const GgufFile& file, TokenizerParts& p, bool sentencepiece) {
  // Phi-3's tokens swallow the white space after them; GGUF has no field for that.
  const bool phi3 = sentencepiece && file.get_string("general.architecture").value_or("") == "phi3";
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < p.vocab.size(); ++id) {
    const TokenKind kind = p.vocab.kind(id);
    if (kind == TokenKind::control || kind == TokenKind::unknown) p.mark_special(id);
    if (kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::user_defined)
      continue;
    AddedToken token;
    token.text = p.vocab.text(id);
    token.id = id;
    token.special = kind != TokenKind::user_defined;
    token.rstrip = phi3 && token.text.starts_with("<|") && token.text != "<|endoftext|>";
    added.push_back(std::move(token));
  }
  p.added_raw = AddedTokens(std::move(added));
}

void read_special_ids(const GgufFile& file, TokenizerParts& p, bool add_bos_default) {
  p.bos = special_id(file, p.vocab, "bos_token_id");
  p.unk = special_id(file, p.vocab, "unknown_token_id");
  p.pad = special_id(file, p.vocab, "padding_token_id");
  for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"})
    p.add_eos(special_id(file, p.vocab, name));
  const bool add_bos = file.get_bool(key("add_bos_token")).value_or(add_bos_default);
  if (add_bos && p.bos >= 0) p.prefix.push_back(p.bos);
  const int32_t eos = special_id(file, p.vocab, "eos_token_id");
  if (file.get_bool(key("add_eos_token")).value_or(false) && eos >= 0) p.suffix.push_back(eos);
  add_known_eos(p);
}

MergeTable read_merges(const GgufFile& file, const Vocab& vocab) {
  const std::vector<std::string_view> merges = file.get_strings(key("merges"));
  LM_CHECK(!merges.empty(), ErrorCode::bad_file,
           "load: a byte-level BPE vocabulary without {}merges", kKeyPrefix);
  MergeTable table;
  table.reserve(merges.size());
  std::string joined;
  size_t unknown = 0;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    LM_CHECK(space != merge.npos, ErrorCode::bad_file,
             "load: merge {} is \"{}\"; expected two tokens and a space", rank, merge);
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const int32_t left = vocab.find(merge.substr(0, space)),
                  right = vocab.find(merge.substr(space + 1));
    const int32_t whole = vocab.find(joined);
    if (left < 0 || right < 0 || whole < 0) {
      ++unknown;  // can never apply
    } else {
      table.insert(left, right, {static_cast<uint32_t>(rank), whole});
    }
  }
  LM_CHECK(unknown * 2 <= merges.size(), ErrorCode::bad_file,
           "load: {} of {} merges name tokens that the vocabulary does not have; the lists do not "
           "belong together",
           unknown, merges.size());
  return table;
}

void load_bpe(const GgufFile& file, TokenizerParts& p) {
  p.kind = "bpe (byte level)";
  std::string_view pre = file.get_string(key("pre")).value_or("");
  if (pre.empty() || pre == "default") {
    p.warning = pre.empty() ? "the file does not name its pre-tokenizer"
                            : "the file names the pre-tokenizer \"default\"";
    p.warning += "; numbers and punctuation may be cut differently from the original model";
    pre = "default";
  }
  const GgufPreFamily* family = find_gguf_pre_family(pre);
  if (family == nullptr) {
    throw Error(ErrorCode::unsupported,
                fmt::format("load: pre-tokenizer \"{}\"; expected one that is known", pre),
                "known: " + gguf_pre_names());
  }
  read_vocab(file, p);
  set_byte_level_bytes(p.vocab);
  read_added_tokens(file, p, false);
  p.pre_tokenizers = make_pre_tokenizers(*family);
  read_special_ids(file, p, family->add_bos);
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = family->ignore_merges;
  p.model = std::make_unique<Bpe>(p.vocab, read_merges(file, p.vocab), options);
}

void load_sentencepiece(const GgufFile& file, TokenizerParts& p) {
  p.kind = "bpe (SentencePiece)";
  read_vocab(file, p);
  const std::vector<float> scores = file.get_floats(key("scores"));
  LM_CHECK(scores.size() == static_cast<size_t>(p.vocab.size()), ErrorCode::bad_file,
           "load: {}scores has {} entries; expected {} (one per token)", kKeyPrefix, scores.size(),
           p.vocab.size());
  set_sentencepiece_bytes(p.vocab);
  read_added_tokens(file, p, true);
  p.strip_leading_space = file.get_bool(key("add_space_prefix")).value_or(true);
  if (p.strip_leading_space) p.normalizers.push_back(prepend(" "));
  p.normalizers.push_back(replace_string(" ", "\xE2\x96\x81"));
  read_special_ids(file, p, true);
  BpeOptions options;
  options.byte_fallback = true;
  options.fuse_unk = true;
  options.unk = p.unk;
  p.model = std::make_unique<Bpe>(p.vocab, merges_from_scores(p.vocab, scores), options);
}

struct GgufModel {
  const char* name;  // of tokenizer.ggml.model
  void (*load)(const GgufFile&, TokenizerParts&);
};
// Add a kind: its loader in a file of its own, one row here.
constexpr GgufModel kModels[] = {{"gpt2", load_bpe}, {"llama", load_sentencepiece}};

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const GgufFile& file) {
  const std::optional<std::string_view> model = file.get_string(key("model"));
  LM_CHECK(model.has_value(), ErrorCode::unsupported,
           "load: the file has no tokenizer ({}model is missing)", kKeyPrefix);
  std::string known;
  for (const GgufModel& entry : kModels) {
    if (*model == entry.name) {
      auto parts = std::make_unique<TokenizerParts>();
      entry.load(file, *parts);
      return std::make_shared<const Tokenizer>(std::move(parts));
    }
    known.append(known.empty() ? "" : ", ").append(entry.name);
  }
  raise(ErrorCode::unsupported, "load: tokenizer kind \"{}\"; expected one of {}", *model, known);
}

}  // namespace lm
