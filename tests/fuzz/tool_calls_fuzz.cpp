// Answers from hostile hands, in random pieces: the parser never throws, and the pieces do not
// matter. The first byte picks a format, the second the pieces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/api/tool_calls.h"
#include "engine/text/chat_template.h"

namespace {

constexpr const char* kTools =
    R"([{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}])";

lm::ToolCallFormat format_of(const char* call, const char* between) {
  const std::string text = std::string("{% for m in messages %}{{ m.role }}:{{ m.content }}") +
                           "{% for c in m.tool_calls or [] %}{% if not loop.first %}" + between +
                           "{% endif %}" + call + "{% endfor %}\n{% endfor %}";
  return lm::find_tool_call_format(lm::ChatTemplate(text));
}

std::string read(const lm::ToolCallFormat& f, std::string_view text, size_t step,
                 lm::ToolCallParser::Options::Unmarked unmarked) {
  lm::ToolCallParser parser(f, {kTools, unmarked, false, true});
  std::string content, reasoning, calls;
  const auto take = [&](const std::vector<lm::ToolCallEvent>& events) {
    for (const auto& e : events) {
      using Kind = lm::ToolCallEvent::Kind;
      if (e.kind == Kind::content) content += e.text;
      if (e.kind == Kind::reasoning) reasoning += e.text;
      if (e.kind == Kind::begin) calls += "(" + e.name + " " + e.id + ":";
      if (e.kind == Kind::arguments) calls += e.text;
      if (e.kind == Kind::end) calls += e.complete ? ")" : "!";
    }
  };
  for (size_t at = 0; at < text.size(); at += step) take(parser.push(text.substr(at, step)));
  take(parser.finish());
  return content + "\n--\n" + reasoning + "\n--\n" + calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const lm::ToolCallFormat kFormats[] = {
      format_of(
          R"(<t>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</t>)",
          ""),
      format_of(R"([C]{{ c.function.name }}[A]{{ c.function.arguments | tojson }})", ""),
      format_of(R"(<t><f={{ c.function.name }}>
{% for k, v in c.function.arguments.items() %}<p={{ k }}>
{{ v }}
</p>
{% endfor %}</f></t>)",
                "\n"),
      format_of("", ""),
      [] {
        lm::ToolCallFormat f = lm::find_tool_call_format(lm::ChatTemplate("<|tool_list_start|>"));
        f.reasoning_begin = "<k>";
        f.reasoning_end = "</k>";
        return f;
      }(),
      format_of(
          R"(<|tool_call>call:{{ c.function.name }}{qzkeyone:<|"|>qzvalue<|"|>,qzkeytwo:31337}<tool_call|>)",
          ""),
  };
  if (size < 2) return 0;
  const auto& f = kFormats[data[0] % std::size(kFormats)];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  using Unmarked = lm::ToolCallParser::Options::Unmarked;
  const Unmarked unmarked = data[1] % 2 == 0 ? Unmarked::any : Unmarked::allowed;
  if (read(f, text, 1 + data[1] % 16, unmarked) != read(f, text, text.size() + 1, unmarked))
    std::abort();
  return 0;
}
