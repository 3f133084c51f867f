#include "engine/api/constraint.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>

#include "engine/core/error.h"
#include "engine/infer/constrain/free_text.h"
#include "engine/infer/constrain/front_ends.h"
#include "engine/infer/constrain/masks.h"
#include "engine/infer/constrain/regex.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr size_t kMaxForced = 1024;  // bytes

RuleId read_choices(Grammar& g, const std::vector<std::string>& choices) {
  LM_CHECK(!choices.empty(), ErrorCode::bad_option,
           "constraint: no choices; expected at least one text");
  std::vector<ExprId> ways;
  for (const std::string& choice : choices) ways.push_back(g.literal(choice));
  const RuleId rule = g.add_rule("choices");
  g.define(rule, g.alt(std::move(ways)));
  return rule;
}

RuleId read(Grammar& g, const ConstraintOptions& o, const Tokenizer* tokenizer,
            std::vector<std::string>& notes) {
  using Language = ConstraintOptions::Language;
  switch (o.language) {
    case Language::choices:
      return read_choices(g, o.choices);
    case Language::gbnf:
      return read_gbnf(g, o.text, {{o.any_space, o.any_order}, tokenizer}, notes);
    case Language::json_schema:
      return read_json_schema(g, o.text, {o.any_space, o.any_order}, notes);
    case Language::regex:
      break;
  }
  const RuleId rule = g.add_rule("regex");
  g.define(rule, regex_expression(g, o.text, RegexMatch::whole));
  return rule;
}

// Free text up to the first marker, then the constraint; or free text without a marker.
RuleId with_triggers(Grammar& g, RuleId inner, const std::vector<std::string>& triggers,
                     const Tokenizer* tokenizer) {
  const RuleId rule = g.add_rule("free text");
  g.define(rule, g.alt({text_without(g, triggers, tokenizer),
                        g.concat(text_until(g, triggers, tokenizer), g.call(inner))}));
  return rule;
}

}  // namespace

struct Constraint::Impl {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<VocabTrie> trie;
  std::vector<std::string> notes;
  bool json = false;
  std::unique_ptr<Machine> machine;
  std::optional<Masks> masks;
  mutable std::mutex mutex;

  // Holds the lock and begins to count work anew.
  std::unique_lock<std::mutex> enter() {
    std::unique_lock lock(mutex);
    machine->grammar().start_work();
    return lock;
  }
  SetId read(SetId state, std::string_view text) {
    for (const char c : text) {
      state = machine->step(state, static_cast<uint8_t>(c));
      if (state == kDead) break;
    }
    return state;
  }
  // The bytes a token adds; at the beginning of a text some tokenizers drop a space.
  std::string_view token_bytes(int32_t token, bool at_start) const {
    const std::string_view bytes = trie->bytes(token);
    return at_start ? tokenizer->without_leading_space(bytes) : bytes;
  }
  std::string forced_text(SetId state);
  std::vector<int32_t> cut(SetId state, const std::string& text);
  std::vector<int32_t> tokenize(const std::string& text) const;
};

Constraint::Constraint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Constraint::~Constraint() = default;

std::shared_ptr<const Constraint> Constraint::compile(const ConstraintOptions& options,
                                                      std::shared_ptr<const Tokenizer> tokenizer) {
  auto impl = std::make_unique<Impl>();
  auto grammar = std::make_unique<Grammar>();
  impl->json = options.language == ConstraintOptions::Language::json_schema;
  RuleId start = read(*grammar, options, tokenizer.get(), impl->notes);
  if (!options.triggers.empty())
    start = with_triggers(*grammar, start, options.triggers, tokenizer.get());
  grammar->finish(start);
  impl->machine = std::make_unique<Machine>(std::move(grammar), start);
  if (tokenizer) {
    impl->trie = VocabTrie::of(tokenizer);
    impl->masks.emplace(*impl->machine, impl->trie);
    impl->tokenizer = std::move(tokenizer);
  }
  return std::shared_ptr<const Constraint>(new Constraint(std::move(impl)));
}

bool Constraint::accepts(std::string_view text) const {
  const auto lock = impl_->enter();
  SetId state = impl_->machine->start();
  // White space behind a JSON text is no part of what a model should write, but of a JSON text.
  if (impl_->json)
    while (!text.empty() && std::string_view(" \t\n\r").find(text.back()) != text.npos)
      text.remove_suffix(1);
  // Long texts take long: the limit is on the work of a piece.
  for (size_t at = 0; at < text.size() && state != kDead; at += 4096) {
    impl_->machine->grammar().start_work();
    state = impl_->read(state, text.substr(at, 4096));
  }
  return impl_->machine->may_end(state);
}

const std::vector<std::string>& Constraint::notes() const {
  return impl_->notes;
}
const std::shared_ptr<const Tokenizer>& Constraint::tokenizer() const {
  return impl_->tokenizer;
}

std::string Constraint::Impl::forced_text(SetId state) {
  std::string text;
  while (text.size() < kMaxForced && state != kDead && !machine->may_end(state)) {
    const ByteSet live = machine->live(state);
    if (live.count() != 1) break;
    const uint8_t byte = live.first();
    text += static_cast<char>(byte);
    state = machine->step(state, byte);
  }
  return text;
}

// As the tokenizer cuts it where that can be told from the inside of a text, else longest first.
std::vector<int32_t> Constraint::Impl::tokenize(const std::string& text) const {
  if (!tokenizer->strips_leading_space() && text.find(kControlByte) == text.npos) {
    auto ids = tokenizer->encode(text, {false, false});
    std::string back;
    for (const int32_t id : ids) back += trie->bytes(id);
    if (back == text) return ids;
  }
  std::vector<int32_t> ids;
  for (size_t at = 0; at < text.size();) {
    int32_t best = -1;
    size_t best_size = 0, size = 0;
    for (uint32_t node = 0; at + size < text.size();) {
      node = trie->child(node, static_cast<uint8_t>(text[at + size]));
      if (node == 0) break;
      ++size;
      trie->tokens_at(trie->nodes()[node], [&](int32_t id) {
        if (size > best_size) best = id, best_size = size;
      });
    }
    if (best < 0) break;
    ids.push_back(best);
    at += best_size;
  }
  return ids;
}

// Drops the tokens at the end that the text behind might join into longer ones.
std::vector<int32_t> Constraint::Impl::cut(SetId state, const std::string& text) {
  std::vector<int32_t> ids = tokenize(text);
  const ByteSet after = machine->live(read(state, text));
  size_t at = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    uint32_t node = 0;
    size_t k = at;
    for (; k < text.size(); ++k) {
      node = trie->child(node, static_cast<uint8_t>(text[k]));
      if (node == 0) break;
    }
    if (k == text.size()) {
      const auto& nodes = trie->nodes();
      for (uint32_t c = node + 1; c < nodes[node].end; c = nodes[c].end) {
        if (!after.has(nodes[c].byte)) continue;
        ids.resize(i);
        return ids;
      }
    }
    at += trie->bytes(ids[i]).size();
  }
  return ids;
}

ConstraintState::ConstraintState(std::shared_ptr<const Constraint> constraint, bool at_text_start)
    : constraint_(std::move(constraint)), at_text_start_(at_text_start) {
  LM_CHECK(constraint_->impl_->trie != nullptr, ErrorCode::bad_option,
           "constraint: it was compiled without a tokenizer; expected one for masks");
  at_text_start_ = at_text_start_ && constraint_->impl_->tokenizer->strips_leading_space();
  states_.push_back(constraint_->impl_->machine->start());
}

void ConstraintState::mask(std::span<uint64_t> bits) {
  Constraint::Impl& impl = *constraint_->impl_;
  LM_CHECK(bits.size() >= impl.trie->words(), ErrorCode::bad_shape,
           "constraint: a mask of {} words; expected {}", bits.size(), impl.trie->words());
  std::fill(bits.begin(), bits.end(), 0);
  const auto lock = impl.enter();
  const auto out = bits.first(impl.trie->words());
  if (!at_text_start_ || states_.size() > 1) {
    impl.masks->mask(states_.back(), out);
    return;
  }
  for (int32_t id = 0; id < impl.trie->size(); ++id) {
    const std::string_view bytes = impl.token_bytes(id, true);
    if (!bytes.empty() && impl.read(states_.back(), bytes) != kDead)
      out[static_cast<size_t>(id) >> 6] |= uint64_t{1} << (id & 63);
  }
}

void ConstraintState::apply(std::span<float> logits, std::span<const int32_t> stop_ids) {
  bits_.resize(std::max(constraint_->impl_->trie->words(), (logits.size() + 63) / 64));
  mask(bits_);
  const bool stop = may_stop();
  for (const int32_t id : stop_ids) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    uint64_t& word = bits_[static_cast<size_t>(id) >> 6];
    const uint64_t bit = uint64_t{1} << (id & 63);
    word = stop ? word | bit : word & ~bit;
  }
  bool any = false;
  for (size_t w = 0; w * 64 < logits.size(); ++w) {
    const size_t end = std::min(logits.size(), w * 64 + 64);
    any = any || bits_[w] != 0;
    if (bits_[w] == ~uint64_t{0}) continue;
    for (size_t i = w * 64; i < end; ++i)
      if ((bits_[w] >> (i & 63) & 1) == 0) logits[i] = -std::numeric_limits<float>::infinity();
  }
  LM_CHECK(any, ErrorCode::unsupported,
           "constraint: the vocabulary has no token to go on with; expected one that can spell "
           "every text");
}

bool ConstraintState::accept(int32_t token) {
  Constraint::Impl& impl = *constraint_->impl_;
  if (token < 0 || token >= impl.trie->size()) return false;
  const std::string_view bytes = impl.token_bytes(token, at_text_start_ && states_.size() == 1);
  if (bytes.empty()) return false;
  const auto lock = impl.enter();
  const SetId next = impl.read(states_.back(), bytes);
  if (next == kDead) return false;
  states_.push_back(next);
  return true;
}

bool ConstraintState::may_stop() const {
  const auto lock = constraint_->impl_->enter();
  return constraint_->impl_->machine->may_end(states_.back());
}

bool ConstraintState::is_done() const {
  const auto lock = constraint_->impl_->enter();
  return states_.back() == kEnd;
}

std::vector<int32_t> ConstraintState::forced() {
  Constraint::Impl& impl = *constraint_->impl_;
  if (at_text_start_ && states_.size() == 1) return {};
  const auto lock = impl.enter();
  const std::string text = impl.forced_text(states_.back());
  if (text.empty()) return {};
  return impl.cut(states_.back(), text);
}

void ConstraintState::rollback(size_t n) {
  LM_CHECK(n <= accepted(), ErrorCode::bad_option,
           "constraint: {} tokens to take back of {}; expected no more than there are", n,
           accepted());
  states_.resize(states_.size() - n);
}

}  // namespace lm
