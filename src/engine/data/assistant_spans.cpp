#include "engine/data/assistant_spans.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/core/error.h"

namespace lm {

using nlohmann::json;

namespace {

using Span = std::pair<size_t, size_t>;

// Messages to text, by the template or plainly.
class Renderer {
 public:
  Renderer(const Example& example, const EncodeRules& rules) : example_(example), rules_(rules) {
    const Tokenizer& t = *rules.tokenizer;
    if (t.bos() >= 0) bos_ = t.token_text(t.bos());
    if (!t.eos().empty()) eos_ = t.token_text(t.eos()[0]);
  }
  RenderedChat render(const json& messages, bool generation_prompt) const {
    if (rules_.chat_template == nullptr) return {plain(messages, generation_prompt), {}};
    ChatInput in;
    in.messages = messages.dump();
    in.tools = example_.tools;
    in.add_generation_prompt = generation_prompt;
    in.bos_token = bos_;
    in.eos_token = eos_;
    return rules_.chat_template->render_spans(in);
  }
  // Empty when the template refuses so few messages.
  std::optional<std::string> try_render(const json& messages, bool generation_prompt) const {
    try {
      return render(messages, generation_prompt).text;
    } catch (const Error& e) {
      if (e.code() == ErrorCode::interrupted) throw;
      return std::nullopt;
    }
  }

 private:
  // For models without a template: Alpaca's headings (Stanford Alpaca, train.py).
  std::string plain(const json& messages, bool generation_prompt) const {
    std::string out;
    for (const json& m : messages) {
      const std::string role = m.value("role", ""), content = m.value("content", "");
      if (role == "system")
        out += content + "\n\n";
      else if (role == "assistant")
        out += "### Response:\n" + content + eos_ + "\n\n";
      else
        out += (role == "user" ? "### Instruction:\n" : "### " + role + ":\n") + content + "\n\n";
    }
    if (generation_prompt) out += "### Response:\n";
    return out;
  }
  const Example& example_;
  const EncodeRules& rules_;
  std::string bos_, eos_;
};

json first_messages(const json& all, size_t n) {
  return json(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
}

// From the text up to the turn, with the beginning of the answer, and the text including it.
std::optional<Span> by_prefix(const Renderer& r, const json& all, size_t i,
                              const std::string& text) {
  const auto before = r.try_render(first_messages(all, i), true);
  const auto with = r.try_render(first_messages(all, i + 1), false);
  if (!before || !with || before->size() > with->size()) return std::nullopt;
  if (!text.starts_with(*before) || !text.starts_with(*with)) return std::nullopt;
  return Span(before->size(), with->size());
}

// From two renderings that differ in the turn's content only: templates that rewrite history. The
// end-of-turn token right behind the content belongs to the turn.
std::optional<Span> by_difference(const Renderer& r, const json& all, size_t i,
                                  const std::string& text, const Tokenizer& tokenizer) {
  std::string found[2];
  for (int k = 0; k < 2; ++k) {
    json changed = all;
    changed[i]["content"] = k == 0 ? "\x01\x01" : "\x02\x02";
    const auto rendered = r.try_render(changed, false);
    if (!rendered) return std::nullopt;
    found[k] = *rendered;
  }
  const size_t begin = found[0].find("\x01\x01");
  if (begin == std::string::npos || found[1].find("\x02\x02") != begin) return std::nullopt;
  const std::string behind = found[0].substr(begin + 2);
  if (text.size() < begin + behind.size() || !text.starts_with(found[0].substr(0, begin)) ||
      !text.ends_with(behind))
    return std::nullopt;
  size_t end = text.size() - behind.size();
  for (const int32_t id : tokenizer.eos()) {
    const std::string_view stop = tokenizer.token_text(id);
    if (!stop.empty() && std::string_view(text).substr(end).starts_with(stop)) {
      end += stop.size();
      break;
    }
  }
  return Span(begin, end);
}

Span without_space_behind(const std::string& text, Span span) {
  while (span.second > span.first &&
         std::isspace(static_cast<unsigned char>(text[span.second - 1])))
    --span.second;
  return span;
}

}  // namespace

SpannedText render_conversation(const Example& example, const EncodeRules& rules) {
  const json all = json::parse(example.messages);
  const Renderer renderer(example, rules);
  RenderedChat rendered = renderer.render(all, false);
  SpannedText out{std::move(rendered.text), {}};
  const auto flag = [&](size_t i) {
    return i < example.train_on.size() ? example.train_on[i] : int8_t{-1};
  };
  const bool flags = std::any_of(example.train_on.begin(), example.train_on.end(),
                                 [](int8_t f) { return f >= 0; });
  if (rules.train_on == TrainOn::all && !flags) {
    out.spans = {{0, out.text.size()}};
    return out;
  }
  if (!rendered.generated.empty() && !flags && rules.train_on == TrainOn::assistant) {
    out.spans = std::move(rendered.generated);
    return out;
  }
  size_t last = all.size();
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i].value("role", "") == "assistant") last = i;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool own = all[i].value("role", "") == "assistant";
    const bool wanted =
        flag(i) >= 0 ? flag(i) == 1 : own && (rules.train_on != TrainOn::last || i == last);
    if (!wanted) continue;
    auto span = own ? by_prefix(renderer, all, i, out.text) : std::nullopt;
    if (!span) span = by_difference(renderer, all, i, out.text, *rules.tokenizer);
    LM_CHECK(span.has_value(), ErrorCode::bad_file,
             "message {} cannot be found in the text that the chat template makes; expected a "
             "template that shows every message, or train_on = \"all\"",
             i + 1);
    out.spans.push_back(without_space_behind(out.text, *span));
  }
  return out;
}

}  // namespace lm
