// The grammar of calls, in GBNF with its additions (engine/infer/constrain/front_ends.h).
#include <nlohmann/json.hpp>

#include "engine/api/tool_calls.h"
#include "engine/core/error.h"
#include "engine/text/tool_calls/grammar_arguments.h"
#include "engine/text/tool_calls/schema.h"

namespace lm {
namespace {

using namespace tool_calls;
using json = nlohmann::ordered_json;
using Part = ToolCallFormat::Part;

constexpr int kMostCalls = 32;  // in one answer
constexpr const char* kSpace = "[ \\t\\n]{0,32}";

std::string marker(std::string_view text) {
  return text.empty() ? "" : "%marker " + gbnf_string(text) + " ";
}

class Grammar {
 public:
  Grammar(const ToolCallFormat& format, const ToolChoice& choice, std::vector<ToolInfo> tools)
      : f_(format), choice_(choice), tools_(std::move(tools)) {}

  std::string write() {
    std::string root = reasoning();
    switch (choice_.kind) {
      case ToolChoice::Kind::none:
        root += text();
        break;
      case ToolChoice::Kind::automatic:
        root += automatic();
        break;
      default:
        root += calls(0);
    }
    return "root ::= " + root + "\n" + rules_;
  }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::string rule(const std::string& name, const std::string& body) {
    rules_ += name + " ::= " + body + "\n";
    return name;
  }

  std::string reasoning() {
    if (f_.reasoning_end.empty()) return "";
    const std::string rest = "%until (" + gbnf_string(f_.reasoning_end) + ") [ \\t\\n]{0,8} ";
    if (choice_.in_reasoning) return rest;
    return "( [ \\t\\n]{0,8} " + marker(f_.reasoning_begin) + rest + ")? ";
  }

  // The rule of a tool's arguments.
  std::string arguments(size_t tool) {
    const std::string name = "args" + std::to_string(tool);
    if (!made_[tool]) {
      made_[tool] = true;
      json schema = json::parse(tools_[tool].schema, nullptr, false);
      if (choice_.strict) schema = closed(schema);
      ArgumentsGrammar writer(f_, tools_[tool].name, name);
      rules_ += writer.write(schema);
      notes_.insert(notes_.end(), writer.notes().begin(), writer.notes().end());
    }
    return name;
  }

  // A call of one of the tools; `first`: what stands instead of its first part.
  std::string call(std::string_view first, const std::string& name) {
    std::string ways;
    for (size_t t = 0; t < tools_.size(); ++t) {
      if (!wanted(t)) continue;
      if (!ways.empty()) ways += " | ";
      ways += marker(first);
      for (size_t i = before().empty() ? 0 : 1; i < f_.parts.size(); ++i)
        ways += write(f_.parts[i], t);
    }
    return rule(name, ways);
  }
  std::string write(const Part& part, size_t tool) {
    switch (part.kind) {
      case Part::Kind::text:
        return marker(part.text);
      case Part::Kind::name:
        return gbnf_string(tools_[tool].name) + " ";
      case Part::Kind::id:
        return "[a-zA-Z0-9]{9} ";
      case Part::Kind::index:
        return "[0-9]{1,2} ";
      case Part::Kind::arguments:
        break;
    }
    return arguments(tool) + " ";
  }
  bool wanted(size_t tool) const {
    return choice_.kind != ToolChoice::Kind::named || tools_[tool].name == choice_.name;
  }
  std::string before() const {
    return f_.parts.front().kind == Part::Kind::text ? f_.parts.front().text : "";
  }

  // All calls of an answer; the first `skip` bytes stand already.
  std::string calls(size_t skip) {
    std::string out = call((f_.section_begin + before()).substr(skip), "first");
    if (f_.parallel && choice_.parallel)
      out += " ( " + call(f_.separator + before(), "more") + " ){0," +
             std::to_string(kMostCalls - 1) + "}";
    return out + " " + marker(f_.section_end);
  }

  // JSON objects at the beginning of a line, as models write them that were taught another form or
  // none.
  std::string bare_call() {
    std::string ways;
    for (size_t t = 0; t < tools_.size(); ++t) {
      if (!ways.empty()) ways += " | ";
      ways += gbnf_string(json(tools_[t].name).dump()) + std::string(" ") + kSpace + " \",\" " +
              kSpace + " " + gbnf_string(json(arguments_key()).dump()) + " " + kSpace + " \":\" " +
              kSpace + " " + json_arguments(t);
    }
    return rule("bare", std::string(kSpace) + " \":\" " + kSpace + " ( " + ways + " ) " + kSpace +
                            " \"}\"");
  }
  std::string json_arguments(size_t tool) {
    if (f_.arguments == ToolCallFormat::Arguments::json) return arguments(tool);
    const std::string name = "jsonargs" + std::to_string(tool);
    json schema = json::parse(tools_[tool].schema, nullptr, false);
    if (choice_.strict) schema = closed(schema);
    ToolCallFormat as_json = f_;
    as_json.arguments = ToolCallFormat::Arguments::json;
    rules_ += ArgumentsGrammar(as_json, tools_[tool].name, name).write(schema);
    return name;
  }
  std::string arguments_key() const {
    return f_.arguments_key.empty() ? "arguments" : f_.arguments_key;
  }

  // Text without anything that begins a call.
  std::string text() {
    std::string all = f_.marker().empty() ? "" : gbnf_string(f_.marker());
    for (const bool in_list : {false, true})
      for (const std::string& opening : unmarked_openings(f_.name_key, in_list))
        all += " " + gbnf_string("\n" + opening);
    return rule("text", "%without ( " + all + " )");
  }

  // What unmarked calls begin with, as one rule.
  std::string openings(const std::string& name, bool in_list) {
    std::string ways;
    for (const std::string& opening : unmarked_openings(f_.name_key, in_list))
      ways += (ways.empty() ? "" : " | ") + gbnf_string(opening);
    return rule(name, ways);
  }

  // Unmarked calls: one object behind the other, or in a list. Where calls have another form, only
  // a list shows that more may follow.
  std::string unmarked() {
    const std::string one = openings("opening", false), first = openings("listopening", true);
    const std::string call = bare_call(), most = "{0," + std::to_string(kMostCalls - 1) + "}";
    const bool several = f_.parallel && choice_.parallel;
    std::string objects = one + " " + call, list = first + " " + call;
    if (several && !f_.name_key.empty())
      objects += " ( [ \\t\\n]{1,8} " + one + " " + call + " )" + most;
    if (several)
      list +=
          " ( " + std::string(kSpace) + " \",\" " + kSpace + " " + one + " " + call + " )" + most;
    return rule("unmarked", objects + " | " + list + " " + kSpace + " \"]\"");
  }

  std::string automatic() {
    const std::string mark = f_.marker();
    text();
    const std::string begin = "text | ( text \"\\n\" | [ \\t\\n]{0,8} ) ";
    std::string ways = begin + "( " + unmarked() + " | \"```\" [a-z_]{0,16} \"\\n\" unmarked " +
                       kSpace + " \"```\" )";
    if (!mark.empty()) ways += " | text " + marker(mark) + calls(mark.size());
    return "( " + ways + " )";
  }

  const ToolCallFormat& f_;
  const ToolChoice& choice_;
  std::vector<ToolInfo> tools_;
  std::vector<bool> made_ = std::vector<bool>(tools_.size());
  std::string rules_;
  std::vector<std::string> notes_;
};

}  // namespace

ConstraintOptions tool_call_constraint(const ToolCallFormat& format, std::string_view tools,
                                       const ToolChoice& choice, std::vector<std::string>* notes) {
  auto list = read_tools(tools);
  if (choice.kind != ToolChoice::Kind::none)
    LM_CHECK(!list.empty(), ErrorCode::bad_option, "tools: none are given; expected at least one");
  bool known = choice.kind != ToolChoice::Kind::named;
  for (const ToolInfo& tool : list) known = known || tool.name == choice.name;
  LM_CHECK(known, ErrorCode::bad_option,
           "tool_choice names \"{}\"; expected one of the tools that are given", choice.name);
  Grammar grammar(format, choice, std::move(list));
  ConstraintOptions o;
  o.language = ConstraintOptions::Language::gbnf;
  o.text = grammar.write();
  o.any_space = format.any_space;
  if (notes != nullptr) *notes = grammar.notes();
  return o;
}

bool starts_in_reasoning(const ToolCallFormat& format, std::string_view prompt) {
  if (format.reasoning_end.empty()) return false;
  const size_t begin = prompt.rfind(format.reasoning_begin);
  if (begin == prompt.npos) return false;
  const size_t end = prompt.rfind(format.reasoning_end);
  if (end != prompt.npos && end > begin) return false;
  // Of the answer that is to come, not of something said before.
  return prompt.substr(begin + format.reasoning_begin.size()).find_first_not_of(" \t\r\n") ==
         prompt.npos;
}

}  // namespace lm
