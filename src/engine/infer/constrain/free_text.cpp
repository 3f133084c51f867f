#include "engine/infer/constrain/free_text.h"

#include "engine/core/error.h"
#include "engine/infer/constrain/char_set.h"
#include "engine/infer/constrain/vocab_trie.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

ExprId any_of(Grammar& g, const std::vector<std::string>& markers, const Tokenizer* tokenizer) {
  std::vector<ExprId> ways;
  for (const std::string& text : markers) ways.push_back(marker_expression(g, text, tokenizer));
  return g.alt(std::move(ways));
}

}  // namespace

ExprId marker_expression(Grammar& g, const std::string& text, const Tokenizer* tokenizer) {
  LM_CHECK(!text.empty(), ErrorCode::bad_option, "constraint: an empty marker; expected a text");
  std::vector<ExprId> parts;
  std::string plain;
  const auto add_plain = [&] {
    if (!plain.empty()) parts.push_back(g.literal(std::exchange(plain, {})));
  };
  // What stands between control tokens is kept as it was written, whatever the tokenizer makes of
  // it.
  size_t at = 0;
  if (tokenizer != nullptr) {
    for (const int32_t id : tokenizer->encode(text, {false, true})) {
      if (!tokenizer->is_special(id)) continue;
      const std::string name(tokenizer->token_text(id));
      const size_t found = text.find(name, at);
      if (name.empty() || found == text.npos) continue;
      plain = text.substr(at, found - at);
      add_plain();
      parts.push_back(g.alt({g.literal(name), g.literal(kControlByte + name)}));
      at = found + name.size();
    }
  }
  plain = text.substr(at);
  add_plain();
  ExprId all = kEpsilon;
  for (size_t i = parts.size(); i-- > 0;) all = g.concat(parts[i], all);
  return all;
}

namespace {

// White space and the markers that begin lines; kNothing where there are none.
ExprId at_start(Grammar& g, const std::vector<std::string>& markers, const Tokenizer* tokenizer) {
  std::vector<std::string> lines;
  for (const std::string& text : markers)
    if (text.size() > 1 && text[0] == '\n') lines.push_back(text.substr(1));
  if (lines.empty()) return kNothing;
  const CharSet space{{' ', ' '}, {'\t', '\n'}, {'\r', '\r'}};
  return g.concat(g.repeat(space.expression(g), 0, kUnbounded), any_of(g, lines, tokenizer));
}

// Any bytes and a marker at their end.
ExprId up_to(Grammar& g, const std::vector<std::string>& markers, const Tokenizer* tokenizer) {
  const ExprId any = g.repeat(g.bytes(~ByteSet{}), 0, kUnbounded);
  const ExprId inside = g.concat(any, any_of(g, markers, tokenizer));
  const ExprId first = at_start(g, markers, tokenizer);
  return first == kNothing ? inside : g.alt({inside, first});
}

}  // namespace

ExprId text_until(Grammar& g, const std::vector<std::string>& markers, const Tokenizer* tokenizer) {
  const ExprId any = g.repeat(g.bytes(~ByteSet{}), 0, kUnbounded), some = g.bytes(~ByteSet{});
  const ExprId whole = up_to(g, markers, tokenizer), marker = any_of(g, markers, tokenizer);
  std::vector<ExprId> ways{g.concat(any_text(g), marker)};
  if (const ExprId first = at_start(g, markers, tokenizer); first != kNothing)
    ways.push_back(first);
  return g.both({whole, g.negate(g.concat({whole, some, any})), g.alt(std::move(ways))});
}

ExprId text_without(Grammar& g, const std::vector<std::string>& markers,
                    const Tokenizer* tokenizer) {
  const ExprId any = g.repeat(g.bytes(~ByteSet{}), 0, kUnbounded);
  return g.both({any_text(g), g.negate(g.concat(up_to(g, markers, tokenizer), any))});
}

}  // namespace lm
