// Tool calls as text: how a model writes them, found out from its own chat template; the grammar
// that makes it write nothing else; and the reader of what it wrote, piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/constraint.h"

namespace lm {

class ChatTemplate;

// How a model writes calls:
//   section_begin  call separator call ...  section_end
// where a call is `parts` in their order. Where the model was taught nothing, `generic` is true:
// the format is {"name": ..., "arguments": {...}} and the tools must be told in a system message,
// which tool_messages() does.
struct ToolCallFormat {
  enum class Arguments : uint8_t {
    json,    // {"city": "Paris", "days": 2}
    tagged,  // <parameter=city>\nParis\n</parameter> for each
    python,  // city="Paris", days=2
    gemma,   // city:<|"|>Paris<|"|>,days:2
  };
  struct Part {
    enum class Kind : uint8_t { text, name, id, index, arguments };
    Kind kind = Kind::text;
    std::string text;  // of Kind::text
  };
  std::string family;  // "template" when derived, else the name of the exception
  bool generic = false;
  Arguments arguments = Arguments::json;
  std::string section_begin, separator, section_end;
  std::vector<Part> parts;
  // A call is one JSON object with these keys; empty where the name stands outside of JSON or is
  // itself the key.
  std::string name_key, arguments_key, id_key;
  // Arguments::tagged: what stands around names and values.
  struct Tags {
    std::string begin, string_value, other_value, end, separator;
  } tags;
  bool any_space = false;           // arguments go over several lines
  bool parallel = true;             // several calls in one answer
  bool arguments_as_text = false;   // the template wants arguments of earlier calls as JSON text
  bool needs_null_content = false;  // and no content beside calls
  std::string tools_variable = "tools";        // what the template calls the list of tools
  std::string reasoning_begin, reasoning_end;  // around thoughts; empty: none known

  // What a call begins with, up to the name or the JSON object; empty: nothing marks calls.
  std::string marker() const;
  // Texts that control tokens may stand for: GenerateOptions::show_tokens.
  std::vector<std::string> marked_texts() const;
};

// Finds out how the model of a template writes calls, by rendering it with probes and comparing
// what comes out; the few whose templates do not show it are told apart by what stands in them.
// Never throws: a template that refuses the probes gets the generic format.
ToolCallFormat find_tool_call_format(const ChatTemplate& chat, const std::string& bos_token = {},
                                     const std::string& eos_token = {});

// Messages and tools as the template of a model wants them: JSON as in the OpenAI API, arguments
// as text or object. For generic formats the tools go into the system message, earlier calls and
// results into plain messages. Throws bad_option for malformed input.
struct ToolChat {
  std::string messages;  // for ChatInput
  std::string tools;
  std::string extra;  // a JSON object of further variables, or empty
};
ToolChat tool_messages(const ToolCallFormat& format, std::string_view messages,
                       std::string_view tools);

struct ToolChoice {
  enum class Kind : uint8_t {
    none,       // no calls
    automatic,  // text or calls
    required,   // calls
    named,      // a call of `name`
  };
  Kind kind = Kind::automatic;
  std::string name;
  bool parallel = true;  // several calls, where the format can
  // Objects in the schemas of arguments have no properties but those named.
  bool strict = true;
  // The prompt ends inside of a reasoning block (see starts_in_reasoning).
  bool in_reasoning = false;
};

// The constraint under which only well-formed calls of the tools (a JSON list as in the OpenAI API)
// can be written, with arguments that satisfy their schemas. With Kind::automatic text is free up
// to the first call; a JSON object at the beginning of a line whose first key is that of the name
// is a call too. Throws bad_option for what is no list of tools, an unknown name; for schemas
// that no constraint can hold, the arguments are held to be an object and `notes` says so.
ConstraintOptions tool_call_constraint(const ToolCallFormat& format, std::string_view tools,
                                       const ToolChoice& choice,
                                       std::vector<std::string>* notes = nullptr);

// Whether a rendered prompt ends inside of a reasoning block that the model is to go on with.
bool starts_in_reasoning(const ToolCallFormat& format, std::string_view prompt);

struct ToolCallEvent {
  enum class Kind : uint8_t {
    content,    // a piece of the answer's text
    reasoning,  // a piece of its thoughts
    begin,      // a call: name and id (empty where the model gives none)
    arguments,  // a piece of the call's arguments; all of them together are one JSON text
    end,        // the call is over; complete: it did not break off
  };
  Kind kind = Kind::content;
  std::string text;  // a piece
  size_t index = 0;  // which call, from 0
  std::string name, id;
  bool complete = false;
};

// Reads an answer as it grows. Whatever way the answer is cut into pieces, the events of one kind
// joined together are the same, and in the same order. Never throws on what the model writes: text
// that is no call is content. For one thread at a time.
class ToolCallParser {
 public:
  struct Options {
    // A JSON list of tools: gives arguments that are not JSON their types, and tells calls without
    // markers from other JSON. Empty: nothing without markers is a call.
    std::string tools;
    // Calls without the format's markers: JSON objects at the beginning of a line, in a fence or
    // not.
    enum class Unmarked : uint8_t {
      none,
      allowed,  // spelled as tool_call_constraint() allows it: for answers under that constraint
      any,      // in any spelling that models have been seen to use, and in lists
    };
    Unmarked unmarked = Unmarked::any;
    bool in_reasoning = false;  // the answer begins inside of a reasoning block
    bool calls = true;          // false: only reasoning is split off
  };
  ToolCallParser(const ToolCallFormat& format, Options options);
  ~ToolCallParser();
  std::vector<ToolCallEvent> push(std::string_view text);
  // The answer is over: what was held back.
  std::vector<ToolCallEvent> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// An id for a call that the model gave none: "call_" and 24 random letters and digits, or 9 alone
// where the format's own ids look so.
std::string new_tool_call_id(const ToolCallFormat& format);

}  // namespace lm
