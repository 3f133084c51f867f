// The parser's insides: a buffer of what is not decided yet, and a state. Every step looks at the
// buffer only and waits where more text could change what it does, so that pieces do not matter.
#pragma once

#include <optional>

#include "engine/api/tool_calls.h"
#include "engine/text/tool_calls/object_reader.h"
#include "engine/text/tool_calls/schema.h"

namespace lm {

namespace tool_calls {
inline constexpr size_t kMostBetween = 256;  // bytes between a name and its arguments
std::string trimmed(std::string_view text);
bool is_name(char c);  // may stand in a tool's name
}  // namespace tool_calls

struct ToolCallParser::Impl {
  Impl(const ToolCallFormat& format, Options options);
  std::vector<ToolCallEvent> run(std::string_view text, bool over);

 private:
  using Kind = ToolCallEvent::Kind;
  enum class At : uint8_t { start, reasoning, content, call, object, name, arguments, behind };

  // Each returns false when it needs more text.
  bool step();
  bool start();
  bool reasoning();
  bool content();
  bool call();
  bool object();
  bool name();
  bool arguments();
  bool json_arguments();
  bool tagged_arguments();
  bool whole_arguments();
  bool behind();

  void emit(Kind kind, std::string_view text);
  void emit_content(std::string_view text);
  void take(size_t n) { buffer_.erase(0, n); }
  void begin_call(const std::string& name, const std::string& id);
  void end_call(bool complete);
  // What was read since the marker is text after all.
  void give_up();
  bool is_tool(const std::string& name) const;
  const std::string& schema_of(const std::string& name) const;
  void start_object(bool marked);
  size_t skip_space(size_t at) const;
  // How `text` stands at a place in the buffer: wholly, not at all, or nothing for not known yet.
  std::optional<bool> stands(std::string_view text, size_t at) const;
  std::optional<size_t> bare_object(size_t at) const;

  const ToolCallFormat f_;
  const Options options_;
  const std::vector<tool_calls::ToolInfo> tools_;
  // Taken out of the format once, without white space around.
  std::string marker_, before_, name_end_, after_, separator_, section_end_;
  bool object_ = false;  // a call is a JSON object

  At at_ = At::start;
  bool over_ = false, line_start_ = true, said_ = false, said_here_ = false, in_fence_ = false,
       listed_ = false;
  std::string buffer_;
  std::string space_;  // white space that is content only if more of it follows
  std::string raw_;    // what was taken since the marker, should it be no call
  std::optional<tool_calls::ObjectReader> reader_;
  size_t n_calls_ = 0;
  bool in_call_ = false, first_member_ = true;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
  std::string name_;
  std::vector<ToolCallEvent> events_;
};

}  // namespace lm
