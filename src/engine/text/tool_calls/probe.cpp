#include "engine/text/tool_calls/probe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace lm::tool_calls {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kQuestion = "qzquestion?";
constexpr const char* kAnswer = "\u00a7qzanswer";

json tool(const char* name) {
  return {{"type", "function"},
          {"function",
           {{"name", name},
            {"description", "A function."},
            {"parameters",
             {{"type", "object"},
              {"properties",
               {{kKey1, {{"type", "string"}, {"description", "A text."}}},
                {kKey2, {{"type", "integer"}, {"description", "A number."}}}}},
              {"required", {kKey1, kKey2}}}}}}};
}

json call(const char* id, const char* name, bool as_text) {
  json arguments = {{kKey1, kValue1}, {kKey2, std::stoi(kValue2)}};
  if (as_text) arguments = arguments.dump();
  return {
      {"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}};
}

std::optional<std::string> render(const ChatTemplate& chat, const std::string& bos,
                                  const std::string& eos, const json* answer) {
  ChatInput input;
  json messages = json::array({{{"role", "user"}, {"content", kQuestion}}});
  if (answer != nullptr) messages.push_back(*answer);
  input.messages = messages.dump();
  input.tools = json::array({tool(kProbeName), tool(kProbeName2)}).dump();
  input.add_generation_prompt = answer == nullptr;
  input.bos_token = bos;
  input.eos_token = eos;
  input.now = 0;
  try {
    std::string text = chat.render(input);
    // Templates that add plain text to tojson's result get it escaped, but under transformers.
    const std::string quote(1, '"');
    for (size_t i = 0; (i = text.find("&#34;", i)) != text.npos; ++i) text.replace(i, 5, quote);
    const size_t at = text.rfind(kQuestion);
    if (at == text.npos) return std::nullopt;
    return text.substr(at + std::string_view(kQuestion).size());
  } catch (const Error&) {
    return std::nullopt;
  }
}

size_t common_prefix(std::string_view a, std::string_view b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}

}  // namespace

std::optional<std::string> render_calls(const ChatTemplate& chat, const std::string& bos,
                                        const std::string& eos, int calls, ProbeStyle style) {
  json list = json::array({call(kId1, kProbeName, style.arguments_as_text)});
  if (calls == 2) list.push_back(call(kId2, kProbeName2, style.arguments_as_text));
  const json content = style.null_content ? json(nullptr) : json("");
  const json with_calls = {{"role", "assistant"}, {"content", content}, {"tool_calls", list}};
  const json with_text = {{"role", "assistant"}, {"content", kAnswer}};
  const auto called = render(chat, bos, eos, &with_calls);
  if (!called || called->find(kProbeName) == called->npos) return std::nullopt;
  const auto said = render(chat, bos, eos, &with_text), prompt = render(chat, bos, eos, nullptr);
  // Where the assistant's turn begins: as the prompt for an answer says, or where an answer stands.
  size_t begin = prompt ? common_prefix(*called, *prompt) : 0;
  if (said) begin = std::max(begin, std::min(common_prefix(*called, *said), said->find(kAnswer)));
  begin = std::min(begin, called->find(kProbeName));
  // Not inside of a tag, nor in the middle of a character: the other text may begin like this one.
  const size_t open = called->find_last_of("<[{", begin);
  if (open != called->npos && open < begin && called->find_first_of(">]}", open) >= begin)
    begin = open;
  std::string text = called->substr(begin);
  if (said) {  // what ends the turn
    const std::string_view end = std::string_view(*said).substr(
        std::min(said->size(), said->find(kAnswer) + std::string_view(kAnswer).size()));
    size_t n = end.size();
    while (n > 0 && !text.ends_with(end.substr(end.size() - n))) --n;
    // Whole tags only.
    const std::string_view tail = end.substr(end.size() - n);
    const size_t from = tail.find_first_of("<[\n");
    if (from != tail.npos) text.resize(text.size() - (tail.size() - from));
  }
  return text;
}

}  // namespace lm::tool_calls
