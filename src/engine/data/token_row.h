// Examples as tokens, with a mark on those that are trained on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/data/example.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm {

struct TokenRow {
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;  // of each id: whether the loss counts its prediction
  int64_t n_trained() const;
};

// The same, somewhere else.
struct RowView {
  std::span<const int32_t> ids;
  std::span<const uint8_t> trained;
  int64_t n_trained = 0;
  RowView() = default;
  RowView(std::span<const int32_t> the_ids, std::span<const uint8_t> marks, int64_t n)
      : ids(the_ids), trained(marks), n_trained(n) {}
  RowView(const TokenRow& row) : ids(row.ids), trained(row.trained), n_trained(row.n_trained()) {}
};

// What is trained on.
enum class TrainOn : uint8_t {
  all,        // every token
  assistant,  // the assistant's turns; completions; whole texts
  last,       // the last of the assistant's turns only
};

struct EncodeRules {
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // null: conversations become plain text
  TrainOn train_on = TrainOn::assistant;
  bool add_eos = true;  // behind completions and texts; templates bring their own
};

// The assistant's turns come from the template's {% generation %} blocks where it has them, else
// from rendering the conversation up to each turn, which needs nothing of the template (a turn
// includes its end-of-turn token, not the line end behind it). A message's own train flag wins.
// Throws bad_file or bad_option naming the message that cannot be found in the rendered text, and
// what the template throws.
TokenRow encode_example(const Example& example, const EncodeRules& rules);

// The trained parts of a row as text, and the rest, for people to check: "…«trained»…".
std::string show_trained(const RowView& row, const Tokenizer& tokenizer);

}  // namespace lm
