// The one form that every constraint language is turned into: rules over bytes, whose bodies are
// hash-consed expressions. A parser state inside a rule is itself an expression, what may still
// follow, and a byte takes it to its Brzozowski derivative (Brzozowski 1964; Owens, Reppy, Turon
// 2009), so automata are built only where a text goes, counts cost nothing until they are used, and
// intersection and complement of regular expressions come for free.
//
// Building (add_rule, define, the constructors) comes first, then finish() once, then the queries.
// Not thread-safe. Every function throws unsupported when the limits below are passed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/infer/constrain/byte_set.h"

namespace lm {

using ExprId = uint32_t;
using RuleId = uint32_t;
inline constexpr uint32_t kUnbounded = 0xFFFFFFFF;

// Fixed expressions.
inline constexpr ExprId kDone = 0;      // not a language: marks the end of the whole text
inline constexpr ExprId kNothing = 1;   // the empty set
inline constexpr ExprId kEpsilon = 2;   // the empty text
inline constexpr ExprId kAnything = 3;  // every byte string; of regular expressions only

class Grammar;

// An expression that is spelled out when it is first looked at, from a few numbers: object members
// whose state is what was seen so far, remainders of a division.
class LazyExpr {
 public:
  virtual ~LazyExpr() = default;
  virtual ExprId expand(Grammar& g, std::span<const uint32_t> state) const = 0;
  // Whether the empty text belongs to it.
  virtual bool nullable(std::span<const uint32_t> state) const = 0;
  // Whether any text does, given which rules are known to produce one.
  virtual bool productive(const std::vector<bool>& rules,
                          std::span<const uint32_t> state) const = 0;
  // Whether expansions contain no calls.
  virtual bool regular() const = 0;
};

class Grammar {
 public:
  enum class Kind : uint8_t {
    done,
    nothing,
    epsilon,
    anything,
    bytes,
    literal,
    concat,
    alt,
    both,
    negate,
    repeat,
    call,
    json_string,
    lazy
  };
  // A call that an expression may begin with, and what follows it.
  struct CallStep {
    RuleId rule;
    ExprId rest;
  };
  // Where each byte leads.
  struct Row {
    std::array<uint8_t, 256> classes{};
    std::vector<ByteSet> sets;  // the classes
    std::vector<ExprId> next;   // by class
    ByteSet live;               // bytes that lead somewhere
    bool checked = false;       // dead ends behind intersections are taken out
    ExprId at(uint8_t b) const { return next[classes[b]]; }
  };

  Grammar();
  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  // --- building ---
  RuleId add_rule(std::string name);
  void define(RuleId rule, ExprId body);
  bool is_defined(RuleId rule) const { return rules_[rule].defined; }
  const std::string& rule_name(RuleId rule) const { return rules_[rule].name; }
  size_t rule_count() const { return rules_.size(); }

  ExprId bytes(const ByteSet& set);
  ExprId literal(std::string_view text);
  ExprId concat(ExprId a, ExprId b);
  ExprId concat(std::initializer_list<ExprId> parts);
  ExprId alt(std::vector<ExprId> choices);
  // Intersection and complement (over all byte strings) of regular expressions. Throws unsupported
  // for expressions with calls.
  ExprId both(std::vector<ExprId> parts);
  ExprId negate(ExprId a);
  ExprId repeat(ExprId a, uint32_t min, uint32_t max);
  ExprId optional(ExprId a) { return alt({kEpsilon, a}); }
  ExprId call(RuleId rule);
  // The inside of a JSON string and its closing quote, where `text` is a regular expression over
  // what the string means: escapes are seen through (RFC 8259, section 7).
  ExprId json_string(ExprId text);
  ExprId lazy(uint32_t generator, const std::vector<uint32_t>& state);
  // The number that the next one added gets.
  uint32_t next_generator() const { return static_cast<uint32_t>(generators_.size()); }
  uint32_t add_generator(std::unique_ptr<LazyExpr> generator);

  // Checks the rules, takes direct left recursion out. Throws bad_option for rules that are not
  // defined and for left recursion that it cannot take out, naming the rules.
  void finish(RuleId start);

  // --- queries, after finish() ---
  bool nullable(ExprId e);
  bool productive(ExprId e);
  const Row& row(ExprId e);
  const std::vector<CallStep>& calls(ExprId e);
  ExprId body(RuleId rule) const { return rules_[rule].body; }

  // Whether a text belongs to a regular expression; may be asked before finish().
  bool matches(ExprId e, std::string_view text);

  bool is_regular(ExprId e) const { return (nodes_[e].flags & kHasCall) == 0; }
  Kind kind(ExprId e) const { return nodes_[e].kind; }
  // The text inside a JSON string expression that stands between two characters, or kNothing.
  ExprId json_string_text(ExprId e) const;
  // Whether e is `a` between *min and *max times.
  bool is_repeat(ExprId e, ExprId a, uint32_t* min, uint32_t* max) const;
  // Whether e is an intersection of `part` and others.
  bool is_part(ExprId e, ExprId part) const;
  // Whether fingerprint() may be asked: 128 bits that are the same for the same expression in every
  // grammar.
  bool has_fingerprint(ExprId e) const { return (nodes_[e].flags & (kHasCall | kHasLazy)) == 0; }
  std::pair<uint64_t, uint64_t> fingerprint(ExprId e);

  // One character and any text, in UTF-8; set by char_set.cpp when first asked for.
  ExprId free_char = kNothing, free_text = kNothing;

  // Work since the last call of this; each expression made, and each class of bytes looked at, is
  // one unit. Throws unsupported beyond kMaxWork.
  void start_work() { work_ = 0; }
  void work(size_t n = 1) {
    work_ += n;
    if (work_ > kMaxWork) [[unlikely]]
      too_complex();
  }

  static constexpr size_t kMaxWork = 30'000'000, kMaxExprs = 1'500'000;
  static constexpr uint32_t kMaxDepth = 1000;

 private:
  enum Flag : uint8_t { kHasCall = 1, kHasBoth = 2, kHasLazy = 4 };
  struct Node {
    Kind kind;
    uint8_t flags = 0;
    uint16_t depth = 0;
    uint32_t first = 0, count = 0;  // words
    uint32_t hash = 0;
  };
  struct Rule {
    std::string name;
    ExprId body = kNothing;
    bool defined = false, nullable = false;
  };

  [[noreturn]] static void too_complex();
  std::span<const uint32_t> words(ExprId e) const {
    return {words_.data() + nodes_[e].first, nodes_[e].count};
  }
  ExprId intern(Kind kind, std::span<const uint32_t> payload, uint8_t flags, uint32_t depth);
  void grow_table();
  std::string literal_text(ExprId e) const;
  ExprId raw_json_string(ExprId text, uint32_t phase, uint32_t value);

  // derivative.cpp
  bool find_nullable(ExprId e);
  void first_sets(ExprId e, std::vector<ByteSet>& sets, ByteSet& singles);
  ExprId derive(ExprId e, uint8_t b);
  ExprId derive_concat(ExprId e, uint8_t b);
  ExprId derive_json_string(ExprId e, uint8_t b);
  ExprId json_string_code_point(ExprId text, uint32_t code_point);
  bool some_character(ExprId text, uint32_t first, uint32_t last);
  bool some_character(ExprId text, uint32_t first, uint32_t last, uint32_t left, bool lead);
  bool escape_productive(ExprId e);
  Row& raw_row(ExprId e);
  bool find_productive(ExprId e);
  bool search_productive(ExprId e);
  ExprId expansion(ExprId e);
  void find_calls(ExprId e, std::vector<CallStep>& out);

  // grammar_finish.cpp
  void remove_left_recursion(RuleId rule);
  void find_nullable_rules();
  void find_productive_rules();
  void check_left_recursion();

  std::vector<Node> nodes_;
  std::vector<uint32_t> words_;
  std::vector<uint32_t> table_;  // open addressing; 0: free
  std::vector<Rule> rules_;
  std::vector<bool> productive_rules_;
  std::vector<std::unique_ptr<LazyExpr>> generators_;
  std::vector<int8_t> nullable_, productive_;  // -1: not known yet
  std::vector<std::unique_ptr<Row>> rows_;
  std::unordered_map<ExprId, std::vector<CallStep>> calls_;
  std::unordered_map<ExprId, ExprId> expansions_;
  std::unordered_map<ExprId, std::pair<uint64_t, uint64_t>> fingerprints_;
  bool finished_ = false;
  size_t work_ = 0;
};

}  // namespace lm
