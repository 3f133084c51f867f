// Constrained decoding: which tokens may come next so that the text stays within a regular
// expression, a JSON Schema, a grammar or a list of choices. See docs/design/constrain.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

class Tokenizer;

struct ConstraintOptions {
  enum class Language : uint8_t {
    regex,        // the whole text is one match
    json_schema,  // a JSON text that the schema allows
    gbnf,         // llama.cpp's grammars, with %json, %regex, %marker, %until, %without in them
                  // (constrain/front_ends.h); the start is the rule `root`
    choices,      // one of several texts
  };
  Language language = Language::json_schema;
  std::string text;                  // the pattern, schema (JSON) or grammar
  std::vector<std::string> choices;  // for Language::choices

  // JSON Schema: whether white space may stand between JSON tokens (up to 64 characters), or one
  // space behind "," and ":" at most.
  bool any_space = true;
  // JSON Schema: whether properties may come in any order, or only in that of the schema.
  bool any_order = true;

  // Free text may come first; behind the first of these markers the constraint holds. Empty: it
  // holds from the beginning. The text may also end without any marker.
  std::vector<std::string> triggers;
};

// A compiled constraint. Immutable for its users and shared by any number of threads and sequences
// (inside, automata and masks are made when first needed, behind a lock).
class Constraint {
 public:
  // Without a tokenizer only accepts() works. Throws bad_option for what is wrong in the text and
  // unsupported for what no automaton here can hold, with the place; keywords of JSON Schema that
  // are not supported are all named.
  static std::shared_ptr<const Constraint> compile(const ConstraintOptions& options,
                                                   std::shared_ptr<const Tokenizer> tokenizer = {});
  ~Constraint();

  // Whether the whole text satisfies it.
  bool accepts(std::string_view text) const;
  // What was taken note of but not enforced: annotations such as formats that no standard defines.
  const std::vector<std::string>& notes() const;
  const std::shared_ptr<const Tokenizer>& tokenizer() const;

 private:
  friend class ConstraintState;
  struct Impl;
  explicit Constraint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How far one sequence is. Copies are cheap; for one thread at a time.
class ConstraintState {
 public:
  // at_text_start: the first token begins a text, so that tokenizers which drop a space there do
  // so.
  explicit ConstraintState(std::shared_ptr<const Constraint> constraint,
                           bool at_text_start = false);

  // Sets bit id % 64 of word id / 64 for each token that may come next and clears all others;
  // tokens that end a generation are left to may_stop(). `bits` holds at least (vocabulary + 63) /
  // 64 words.
  void mask(std::span<uint64_t> bits);
  // The same on logits [V]: what is not allowed becomes -infinity; of `stop_ids` all are allowed
  // when may_stop(), else none. Throws unsupported when nothing is left.
  void apply(std::span<float> logits, std::span<const int32_t> stop_ids);
  // Adds a token; false, and nothing changes, when it is not allowed.
  bool accept(int32_t token);
  // Whether the text is complete as it is.
  bool may_stop() const;
  // Whether it is complete and nothing may follow.
  bool is_done() const;
  // Tokens that spell the only way to go on, as far as the tokenizer would cut it so whatever comes
  // behind. They are to be accepted like chosen ones. Empty where there is a choice.
  std::vector<int32_t> forced();
  // Takes the last n accepted tokens back. Throws bad_option when there are fewer.
  void rollback(size_t n);
  size_t accepted() const { return states_.size() - 1; }

 private:
  std::shared_ptr<const Constraint> constraint_;
  std::vector<uint32_t> states_;
  std::vector<uint64_t> bits_;  // of apply()
  bool at_text_start_;
};

}  // namespace lm
