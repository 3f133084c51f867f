// Tokenizers from the tokenizer.ggml.* metadata of a GGUF file: the kinds by name, and BPE.
#include <algorithm>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "engine/text/bpe.h"
#include "engine/text/gguf_pre_list.h"
#include "engine/text/gguf_vocab.h"
#include "engine/text/scored_bpe.h"
#include "engine/text/tokenizer.h"

namespace lm {

namespace {

MergeTable read_merges(const GgufFile& file, const Vocab& vocab) {
  const std::vector<std::string_view> merges = file.get_strings(gguf_key("merges"));
  LM_CHECK(!merges.empty(), ErrorCode::bad_file,
           "load: a byte-level BPE vocabulary without tokenizer.ggml.merges");
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

}  // namespace

void load_gguf_bpe(const GgufFile& file, TokenizerParts& p) {
  std::string_view pre = file.get_string(gguf_key("pre")).value_or("");
  if (file.get_string(gguf_key("model")) == "gemma4") pre = "gemma4";
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
  read_gguf_vocab(file, p);
  read_gguf_added_tokens(file, p, false);
  if (family->nfc) p.normalizers.push_back(unicode_form(NormalForm::nfc));
  p.pre_tokenizers = make_pre_tokenizers(*family);
  read_gguf_special_ids(file, p, family->add_bos, false);
  BpeOptions options;
  options.byte_level = !family->plain_text;
  if (family->plain_text) {
    p.kind = "bpe (SentencePiece)";
    set_sentencepiece_bytes(p.vocab);
    p.normalizers.push_back(replace_string(" ", "\xE2\x96\x81"));
    options.byte_fallback = true;
  } else {
    p.kind = "bpe (byte level)";
    set_byte_level_bytes(p.vocab);
  }
  options.ignore_merges = family->ignore_merges;
  p.model = std::make_unique<Bpe>(p.vocab, read_merges(file, p.vocab), options);
}

void load_gguf_sentencepiece(const GgufFile& file, TokenizerParts& p) {
  p.kind = "bpe (SentencePiece)";
  read_gguf_vocab(file, p);
  const std::vector<float> scores = read_gguf_scores(file, p.vocab);
  set_sentencepiece_bytes(p.vocab);
  read_gguf_added_tokens(file, p, true);
  if (file.get_bool(gguf_key("add_space_prefix")).value_or(true)) {
    p.leading_space = LeadingSpace::drop_one;
    p.normalizers.push_back(prepend(" "));
  }
  p.normalizers.push_back(replace_string(" ", "\xE2\x96\x81"));
  read_gguf_special_ids(file, p, true, false);
  ScoredBpeOptions options;
  options.byte_fallback = true;
  options.unk = p.unk;
  p.model = std::make_unique<ScoredBpe>(p.vocab, scores, options);
}

namespace {

struct GgufModel {
  const char* name;  // of tokenizer.ggml.model
  void (*load)(const GgufFile&, TokenizerParts&);
};
// Add a kind: its loader in a file of its own, one row here.
constexpr GgufModel kModels[] = {
    {"gpt2", load_gguf_bpe},      {"llama", load_gguf_sentencepiece}, {"bert", load_gguf_bert},
    {"t5", load_gguf_unigram},    {"rwkv", load_gguf_rwkv},           {"gemma4", load_gguf_bpe},
    {"no_vocab", load_gguf_none}, {"none", load_gguf_none},
};

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const GgufFile& file) {
  const std::optional<std::string_view> model = file.get_string(gguf_key("model"));
  LM_CHECK(model.has_value(), ErrorCode::unsupported,
           "load: the file has no tokenizer (tokenizer.ggml.model is missing)");
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
