#include "engine/text/hf_model.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/bpe.h"
#include "engine/text/hf_json.h"
#include "engine/text/hf_step_list.h"
#include "engine/text/json_reader.h"
#include "engine/text/unigram.h"
#include "engine/text/word_level.h"
#include "engine/text/wordpiece.h"

namespace lm {

using nlohmann::json;

namespace {

// {"token": id, ...} -> vocabulary. Ids may come in any order and have holes (added tokens fill
// some of them later).
void read_vocab(const HfModel& model, Vocab& out) {
  LM_CHECK(!model.vocab.empty(), ErrorCode::bad_file,
           "load: {} has no model.vocab; expected an object of ids", model.name);
  struct Token {
    int32_t id;
    uint32_t begin, size;
  };
  std::vector<Token> tokens;
  std::string texts;
  texts.reserve(model.vocab.size());
  tokens.reserve(model.vocab.size() / 16);
  JsonReader in(model.vocab, model.name + " (model.vocab)");
  in.begin_object();
  bool sorted = true;
  for (std::string_view key; in.next_key(&key);) {
    const auto begin = static_cast<uint32_t>(texts.size());
    const auto size = static_cast<uint32_t>(key.size());
    texts += key;
    const int64_t id = in.read_integer();
    LM_CHECK(id >= 0 && id < Vocab::kMaxTokens, ErrorCode::bad_file,
             "load: \"model.vocab\" is {}; expected a token id from 0 to {}", id,
             Vocab::kMaxTokens - 1);
    sorted = sorted && (tokens.empty() || id > tokens.back().id);
    tokens.push_back({static_cast<int32_t>(id), begin, size});
  }
  in.end();
  LM_CHECK(!tokens.empty(), ErrorCode::bad_file, "load: {}: model.vocab is empty; expected tokens",
           model.name);
  if (!sorted)
    std::stable_sort(tokens.begin(), tokens.end(),
                     [](const Token& a, const Token& b) { return a.id < b.id; });
  out.reserve(static_cast<size_t>(tokens.back().id) + 1, texts.size() + texts.size() / 8);
  for (const Token& t : tokens) {
    const std::string_view text = std::string_view(texts).substr(t.begin, t.size);
    LM_CHECK(t.id >= out.size(), ErrorCode::bad_file,
             "load: id {} stands for both \"{}\" and \"{}\"", t.id, out.text(t.id), text);
    out.pad_to(t.id);
    out.add(text);
  }
}

// Collects merges and looks them up in batches; `continuing` is what the right token of a merge
// begins with and the joined one does not.
class MergeList {
 public:
  MergeList(const Vocab& vocab, const std::string& continuing, size_t expected)
      : vocab_(vocab), continuing_(continuing) {
    table_.reserve(expected);
  }
  void add(std::string_view left, std::string_view right) {
    Pending& p = pending_[n_pending_++];
    p.left = left;
    p.right = right;
    if (n_pending_ == kBatch) resolve();
  }
  // "left right"
  void add(std::string_view both) {
    const size_t space = both.find(' ');
    LM_CHECK(space != both.npos, ErrorCode::bad_file,
             "load: model.merges[{}] is \"{}\"; expected two tokens and a space", size(), both);
    add(both.substr(0, space), both.substr(space + 1));
  }
  MergeTable take() {
    resolve();
    return std::move(table_);
  }
  size_t size() const { return rank_ + n_pending_; }

 private:
  static constexpr size_t kBatch = 32;
  struct Pending {
    std::string left, right;
  };

  void resolve() {
    std::string_view texts[2 * kBatch];
    int32_t ids[2 * kBatch];
    for (size_t i = 0; i < n_pending_; ++i) {
      texts[2 * i] = pending_[i].left;
      texts[2 * i + 1] = pending_[i].right;
    }
    vocab_.find_many({texts, 2 * n_pending_}, ids);
    for (size_t i = 0; i < n_pending_; ++i) table_.prefetch(ids[2 * i], ids[2 * i + 1]);
    for (size_t i = 0; i < n_pending_; ++i, ++rank_) {
      const std::string_view left = pending_[i].left, right = pending_[i].right;
      const bool continues = right.size() >= continuing_.size();
      const std::string_view rest = right.substr(continues ? continuing_.size() : 0);
      const int32_t l = ids[2 * i], r = ids[2 * i + 1], whole = joined_id(left, rest);
      LM_CHECK(l >= 0 && r >= 0 && whole >= 0, ErrorCode::bad_file,
               "load: model.merges[{}] joins \"{}\" and \"{}\"; expected tokens of the "
               "vocabulary, \"{}{}\" as well",
               rank_, left, right, left, rest);
      table_.insert(l, r, {rank_, whole});
    }
    n_pending_ = 0;
  }

  // Trained vocabularies number tokens in the order of their merges: try the last one and the next
  // before the hash table.
  int32_t joined_id(std::string_view left, std::string_view rest) {
    for (const int32_t id : {last_, last_ + 1}) {
      if (!vocab_.contains(id)) continue;
      const std::string_view text = vocab_.text(id);
      if (text.size() == left.size() + rest.size() && text.starts_with(left) &&
          text.ends_with(rest))
        return last_ = id;
    }
    joined_.assign(left).append(rest);
    return last_ = vocab_.find(joined_);
  }

  const Vocab& vocab_;
  const std::string& continuing_;
  MergeTable table_;
  std::array<Pending, kBatch> pending_;
  size_t n_pending_ = 0;
  std::string joined_;
  int32_t last_ = -1;
  uint32_t rank_ = 0;
};

// merges.txt: "left right" on each line, after a line with the version.
MergeTable read_merge_lines(std::string_view text, const Vocab& vocab,
                            const std::string& continuing) {
  MergeList list(vocab, continuing, text.size() / 12);
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    list.add(line);
  }
  return list.take();
}

// ["a b", ...] or [["a", "b"], ...]
MergeTable read_merges(const HfModel& model, const Vocab& vocab, const std::string& continuing) {
  if (model.merges.empty() || model.merges == "null") return {};
  if (!model.merges.starts_with('[')) return read_merge_lines(model.merges, vocab, continuing);
  JsonReader in(model.merges, model.name + " (model.merges)");
  MergeList list(vocab, continuing, model.merges.size() / 16);
  std::string left, right;
  in.begin_array();
  while (in.next_element()) {
    if (in.peek() == '"') {
      list.add(in.read_string());
      continue;
    }
    LM_CHECK(in.peek() == '[', ErrorCode::bad_file,
             "load: model.merges[{}] is no text; expected two tokens", list.size());
    in.begin_array();
    bool two = in.next_element();
    if (two) left = in.read_string();
    two = two && in.next_element();
    if (two) right = in.read_string();
    LM_CHECK(two && !in.next_element(), ErrorCode::bad_file,
             "load: model.merges[{}] is a list of another length; expected two tokens",
             list.size());
    list.add(left, right);
  }
  in.end();
  return list.take();
}

int32_t unk_id(const HfModel& model, const Vocab& vocab, const char* fallback) {
  const std::string unk = json_string(model.options, "unk_token", fallback);
  return unk.empty() ? -1 : vocab.find(unk);
}

void load_bpe(const HfModel& model, bool byte_level, TokenizerParts& p) {
  read_vocab(model, p.vocab);
  BpeOptions options;
  options.byte_level = byte_level;
  options.byte_fallback = json_bool(model.options, "byte_fallback", false);
  options.fuse_unk = json_bool(model.options, "fuse_unk", false);
  options.ignore_merges = json_bool(model.options, "ignore_merges", false);
  options.continuing_prefix = json_string(model.options, "continuing_subword_prefix", "");
  options.end_of_word_suffix = json_string(model.options, "end_of_word_suffix", "");
  options.unk = p.unk = unk_id(model, p.vocab, "");
  p.kind = byte_level              ? "bpe (byte level)"
           : options.byte_fallback ? "bpe (SentencePiece)"
                                   : "bpe (characters)";
  p.model = std::make_unique<Bpe>(p.vocab, read_merges(model, p.vocab, options.continuing_prefix),
                                  options);
}

// "vocab": [["piece", score], ...], "unk_id": index.
void load_unigram(const HfModel& model, bool, TokenizerParts& p) {
  LM_CHECK(!model.vocab.empty(), ErrorCode::bad_file,
           "load: {} has no model.vocab; expected a list of pieces", model.name);
  JsonReader in(model.vocab, model.name + " (model.vocab)");
  std::vector<double> scores;
  double lowest = 0;
  in.begin_array();
  while (in.next_element()) {
    in.begin_array();
    bool two = in.next_element();
    if (two) p.vocab.add(in.read_string());
    two = two && in.next_element();
    if (two) scores.push_back(in.read_number());
    LM_CHECK(two && !in.next_element(), ErrorCode::bad_file,
             "load: model.vocab[{}] is a list of another length; expected a piece and its score",
             scores.size());
    lowest = scores.size() == 1 ? scores[0] : std::min(lowest, scores.back());
  }
  in.end();
  UnigramOptions options;
  const json& unk = json_field(model.options, "unk_id");
  if (!unk.is_null()) options.unk = p.unk = json_id(unk, "unk_id", p.vocab.size());
  options.unk_score = lowest - 10;
  options.byte_fallback = json_bool(model.options, "byte_fallback", false);
  p.kind = "unigram";
  const std::vector<bool> all(scores.size(), true);
  p.model = std::make_unique<Unigram>(p.vocab, std::move(scores), all, options);
}

void load_wordpiece(const HfModel& model, bool, TokenizerParts& p) {
  read_vocab(model, p.vocab);
  WordPieceOptions options;
  options.continuing_prefix = json_string(model.options, "continuing_subword_prefix", "##");
  options.unk = p.unk = unk_id(model, p.vocab, "[UNK]");
  const json& longest = json_field(model.options, "max_input_chars_per_word");
  options.max_chars_per_word =
      longest.is_null()
          ? 100
          : static_cast<size_t>(json_id(longest, "max_input_chars_per_word", 1 << 30));
  p.kind = "wordpiece";
  p.model = std::make_unique<WordPiece>(p.vocab, options);
}

void load_word_level(const HfModel& model, bool, TokenizerParts& p) {
  read_vocab(model, p.vocab);
  p.unk = unk_id(model, p.vocab, "<unk>");
  p.kind = "words";
  p.model = std::make_unique<WordLevel>(p.vocab, p.unk);
}

struct ModelRow {
  const char* type;
  void (*load)(const HfModel& model, bool byte_level, TokenizerParts& parts);
};
constexpr ModelRow kModels[] = {{"BPE", load_bpe},
                                {"Unigram", load_unigram},
                                {"WordPiece", load_wordpiece},
                                {"WordLevel", load_word_level}};

// Files of before 2020 have no type.
std::string model_type(const HfModel& model) {
  if (!json_field(model.options, "type").is_null()) return json_string(model.options, "type");
  if (!model.merges.empty()) return "BPE";
  return model.vocab.starts_with('[') ? "Unigram" : "WordPiece";
}

}  // namespace

void load_hf_model(const HfModel& model, bool byte_level, TokenizerParts& parts) {
  find_step(kModels, model_type(model), "tokenizer model").load(model, byte_level, parts);
}

}  // namespace lm
