// From the tree to an expression, back to front: each node is built with what follows it, so that a
// lookahead can be intersected with it and $ can ask that it be empty.
#include "engine/core/error.h"
#include "engine/infer/constrain/regex.h"
#include "engine/infer/constrain/regex_tree.h"

namespace lm {
namespace {

class Builder {
 public:
  explicit Builder(Grammar& g) : g_(g) {}

  // Texts that begin with a match of the node and go on with `rest`. at_begin: nothing is before
  // it.
  ExprId build(const RegexNode& node, ExprId rest, bool at_begin) {
    if (!node.assertions) return g_.concat(plain(node), rest);
    using Kind = RegexNode::Kind;
    switch (node.kind) {
      case Kind::begin:
        return at_begin ? rest : kNothing;
      case Kind::end:
        return g_.nullable(rest) ? kEpsilon : kNothing;
      case Kind::look: {
        const ExprId ahead = build(*node.parts[0], any_text(g_), at_begin);
        return g_.both({rest, node.negative ? g_.negate(ahead) : ahead});
      }
      case Kind::choice: {
        std::vector<ExprId> ways;
        for (const auto& part : node.parts) ways.push_back(build(*part, rest, at_begin));
        return g_.alt(std::move(ways));
      }
      case Kind::sequence:
        return sequence(node, rest, at_begin);
      default:
        break;
    }
    return repeat(node, rest, at_begin);
  }

 private:
  ExprId plain(const RegexNode& node) {
    using Kind = RegexNode::Kind;
    switch (node.kind) {
      case Kind::set:
        return node.set.ranges() == kAll ? any_char(g_) : node.set.expression(g_);
      case Kind::repeat:
        return g_.repeat(plain(*node.parts[0]), node.min, node.max);
      case Kind::choice: {
        std::vector<ExprId> ways;
        for (const auto& part : node.parts) ways.push_back(plain(*part));
        return g_.alt(std::move(ways));
      }
      case Kind::sequence:
        return literal_sequence(node);
      default:
        return kEpsilon;
    }
  }

  // Runs of single bytes become one literal.
  ExprId literal_sequence(const RegexNode& node) {
    std::vector<ExprId> parts;
    std::string run;
    const auto flush = [&] {
      if (!run.empty()) parts.push_back(g_.literal(run));
      run.clear();
    };
    for (const auto& part : node.parts) {
      const auto& ranges = part->set.ranges();
      if (part->kind == RegexNode::Kind::set && ranges.size() == 1 &&
          ranges[0].first == ranges[0].second && ranges[0].first < 0x80) {
        run += static_cast<char>(ranges[0].first);
      } else {
        flush();
        parts.push_back(plain(*part));
      }
    }
    flush();
    ExprId e = kEpsilon;
    for (size_t i = parts.size(); i-- > 0;) e = g_.concat(parts[i], e);
    return e;
  }

  ExprId sequence(const RegexNode& node, ExprId rest, bool at_begin) {
    // Where the text may still be at its beginning: behind anchors and lookahead only.
    std::vector<bool> begins(node.parts.size());
    for (size_t i = 0; i < node.parts.size(); ++i) {
      begins[i] = at_begin;
      at_begin = at_begin && reads_nothing(*node.parts[i]);
    }
    for (size_t i = node.parts.size(); i-- > 0;) rest = build(*node.parts[i], rest, begins[i]);
    return rest;
  }

  static bool reads_nothing(const RegexNode& node) {
    using Kind = RegexNode::Kind;
    if (node.kind == Kind::sequence || node.kind == Kind::choice) {
      for (const auto& part : node.parts)
        if (!reads_nothing(*part)) return false;
      return true;
    }
    return node.kind != Kind::set && node.kind != Kind::repeat;
  }

  // With assertions inside, each round must see what follows: spelled out when they are few.
  ExprId repeat(const RegexNode& node, ExprId rest, bool at_begin) {
    const RegexNode& part = *node.parts[0];
    LM_CHECK(node.max != kUnbounded && node.max <= 16, ErrorCode::unsupported,
             "regex: an anchor or lookahead inside of a repetition is not supported; expected it "
             "outside");
    ExprId e = rest;
    for (uint32_t i = node.max; i-- > 0;) {
      const ExprId once = build(part, e, at_begin && i == 0);
      e = i >= node.min ? g_.alt({once, rest}) : once;
    }
    return e;
  }

  inline static const std::vector<CharSet::Range> kAll{{0, 0x10FFFF}};
  Grammar& g_;
};

}  // namespace

ExprId regex_expression(Grammar& g, std::string_view pattern, RegexMatch match) {
  const auto tree = parse_regex(pattern);
  Builder builder(g);
  if (match == RegexMatch::whole) return builder.build(*tree, kEpsilon, true);
  const ExprId any = any_text(g);
  const ExprId first = builder.build(*tree, any, true);
  const ExprId later = builder.build(*tree, any, false);
  if (first == later) return g.concat(any, later);
  return g.alt({first, g.concat({any_char(g), any, later})});
}

}  // namespace lm
