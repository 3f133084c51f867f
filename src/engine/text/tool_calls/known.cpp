#include "engine/text/tool_calls/known.h"

#include <array>

namespace lm::tool_calls {
namespace {

using Part = ToolCallFormat::Part;
using Kind = Part::Kind;

ToolCallFormat json_list(const char* family, std::string begin, std::string end) {
  ToolCallFormat f;
  f.family = family;
  f.section_begin = std::move(begin);
  f.separator = ", ";
  f.section_end = std::move(end);
  f.parts = {{Kind::text, "{\"name\": \""},
             {Kind::name, {}},
             {Kind::text, "\", \"arguments\": "},
             {Kind::arguments, {}},
             {Kind::text, "}"}};
  f.name_key = "name";
  f.arguments_key = "arguments";
  return f;
}

// ibm-granite/granite-3.3-2b-instruct: the model card's examples.
ToolCallFormat granite() {
  return json_list("granite", "<|tool_call|>[", "]");
}

// microsoft/Phi-4-mini-instruct: the tools are a field of the system message.
ToolCallFormat phi4() {
  ToolCallFormat f = json_list("phi-4-mini", "<|tool_call|>[", "]<|/tool_call|>");
  f.tools_variable = "system.tools";
  return f;
}

// HuggingFaceTB/SmolLM3-3B: Qwen's form, and the tools under a name of their own.
ToolCallFormat smollm3() {
  ToolCallFormat f = json_list("smollm3", "", "");
  f.separator = "\n";
  f.parts.front().text = "<tool_call>\n{\"name\": \"";
  f.parts.back().text = "}\n</tool_call>";
  f.tools_variable = "xml_tools";
  return f;
}

// LiquidAI/LFM2: a list of Python calls.
ToolCallFormat lfm2() {
  ToolCallFormat f;
  f.family = "lfm2";
  f.arguments = ToolCallFormat::Arguments::python;
  f.section_begin = "<|tool_call_start|>[";
  f.separator = ", ";
  f.section_end = "]<|tool_call_end|>";
  f.parts = {{Kind::name, {}}, {Kind::text, "("}, {Kind::arguments, {}}, {Kind::text, ")"}};
  return f;
}

struct Known {
  const char* mark;  // stands in the template
  ToolCallFormat (*make)();
};
constexpr std::array kKnown{
    Known{"xml_tools", smollm3},
    Known{"<|tool_list_start|>", lfm2},
    Known{"respond only with <|tool_call|> followed by a JSON list", granite},
    Known{"'<|tool|>' + message['tools']", phi4},
};

struct Reasoning {
  const char *begin, *end;
};
constexpr std::array kReasoning{
    Reasoning{"<think>", "</think>"},
    Reasoning{"[THINK]", "[/THINK]"},
    Reasoning{"<|START_THINKING|>", "<|END_THINKING|>"},
    Reasoning{"<seed:think>", "</seed:think>"},
    Reasoning{"<|inner_prefix|>", "<|inner_suffix|>"},
    Reasoning{"<|channel>thought\n", "<channel|>"},
    Reasoning{"Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"},
};

}  // namespace

std::optional<ToolCallFormat> find_known(const std::string& source) {
  for (const Known& known : kKnown)
    if (source.find(known.mark) != source.npos) return known.make();
  return std::nullopt;
}

ToolCallFormat generic_format() {
  ToolCallFormat f = json_list("generic", "", "");
  f.separator = "\n";
  f.generic = true;
  return f;
}

void find_reasoning(const std::string& source, ToolCallFormat* format) {
  for (const Reasoning& r : kReasoning) {
    if (source.find(r.end) == source.npos) continue;
    format->reasoning_begin = r.begin;
    format->reasoning_end = r.end;
    return;
  }
}

}  // namespace lm::tool_calls
