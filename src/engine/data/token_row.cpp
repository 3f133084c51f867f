#include "engine/data/token_row.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/data/assistant_spans.h"

namespace lm {
namespace {

// Marks the tokens that begin inside of a span. False when the tokens do not spell the text (a
// tokenizer that normalises).
bool mark_by_bytes(const SpannedText& text, const Tokenizer& tokenizer, TokenRow* row) {
  size_t at = 0, span = 0;
  for (size_t i = 0; i < row->ids.size(); ++i) {
    const int32_t id = row->ids[i];
    std::string_view bytes =
        tokenizer.is_special(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id);
    if (i == 0 && tokenizer.strips_leading_space() && !text.text.starts_with(bytes))
      bytes = tokenizer.without_leading_space(bytes);
    if (std::string_view(text.text).substr(at, bytes.size()) != bytes) return false;
    while (span < text.spans.size() && text.spans[span].second <= at) ++span;
    row->trained[i] = span < text.spans.size() && at >= text.spans[span].first;
    at += bytes.size();
  }
  return at == text.text.size();
}

// The same by encoding the text up to each border, which must give the first tokens of the whole.
void mark_by_prefix(const SpannedText& text, const Tokenizer& tokenizer,
                    const EncodeOptions& options, TokenRow* row) {
  const auto border = [&](size_t bytes) {
    const std::vector<int32_t> part = tokenizer.encode(text.text.substr(0, bytes), options);
    LM_CHECK(
        part.size() <= row->ids.size() && std::equal(part.begin(), part.end(), row->ids.begin()),
        ErrorCode::bad_file,
        "the trained part that begins or ends at byte {} of the text is not at a border of "
        "tokens; expected train_on = \"all\" for this tokenizer",
        bytes);
    return part.size();
  };
  std::fill(row->trained.begin(), row->trained.end(), uint8_t{0});
  for (const auto& [begin, end] : text.spans)
    std::fill(row->trained.begin() + static_cast<std::ptrdiff_t>(border(begin)),
              row->trained.begin() + static_cast<std::ptrdiff_t>(border(end)), uint8_t{1});
}

TokenRow encode_spans(const SpannedText& text, const EncodeRules& rules, bool special) {
  const EncodeOptions options{!special, special};
  TokenRow row;
  row.ids = rules.tokenizer->encode(text.text, options);
  row.trained.assign(row.ids.size(), 0);
  // Tokens in front that the tokenizer adds spell nothing.
  const bool bos = !special && !row.ids.empty() && row.ids[0] == rules.tokenizer->bos();
  if (bos) {
    row.ids.erase(row.ids.begin());
    row.trained.pop_back();
  }
  if (!mark_by_bytes(text, *rules.tokenizer, &row))
    mark_by_prefix(text, *rules.tokenizer, {false, special}, &row);
  if (bos) {
    row.ids.insert(row.ids.begin(), rules.tokenizer->bos());
    row.trained.insert(row.trained.begin(), uint8_t{0});
  }
  return row;
}

void append_eos(const EncodeRules& rules, TokenRow* row) {
  const auto& eos = rules.tokenizer->eos();
  if (!rules.add_eos || eos.empty() || (!row->ids.empty() && row->ids.back() == eos[0])) return;
  row->ids.push_back(eos[0]);
  row->trained.push_back(1);
}

}  // namespace

int64_t TokenRow::n_trained() const {
  return std::count(trained.begin(), trained.end(), uint8_t{1});
}

TokenRow encode_example(const Example& e, const EncodeRules& rules) {
  if (!e.ids.empty()) {
    for (const int32_t id : e.ids)
      LM_CHECK(id >= 0 && id < rules.tokenizer->size(), ErrorCode::bad_file,
               "token {} is outside of the vocabulary of {}", id, rules.tokenizer->size());
    return {e.ids, e.ids_trained};
  }
  if (!e.messages.empty()) return encode_spans(render_conversation(e, rules), rules, true);
  SpannedText text;
  if (!e.completion.empty()) {
    text.text = e.prompt + e.completion;
    text.spans = {{rules.train_on == TrainOn::all ? 0 : e.prompt.size(), text.text.size()}};
  } else {
    text.text = e.text;
    text.spans = {{0, text.text.size()}};
  }
  TokenRow row = encode_spans(text, rules, false);
  append_eos(rules, &row);
  return row;
}

std::string show_trained(const RowView& row, const Tokenizer& tokenizer) {
  std::string out;
  for (size_t i = 0; i < row.ids.size();) {
    size_t end = i;
    while (end < row.ids.size() && row.trained[end] == row.trained[i]) ++end;
    const std::string part = tokenizer.decode(row.ids.subspan(i, end - i), /*skip_special=*/false);
    out += row.trained[i] ? "«" + part + "»" : part;
    i = end;
  }
  return out;
}

}  // namespace lm
