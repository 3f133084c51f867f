// Arguments of a call, in each of the forms they are written in; parser.cpp finds the calls.
#include <utility>

#include "engine/text/tool_calls/parser.h"
#include "engine/text/tool_calls/values.h"

namespace lm {

using Arguments = ToolCallFormat::Arguments;
using Part = ToolCallFormat::Part;
using tool_calls::is_name;
using tool_calls::kMostBetween;
using tool_calls::trimmed;

bool ToolCallParser::Impl::arguments() {
  switch (f_.arguments) {
    case Arguments::json:
      return json_arguments();
    case Arguments::tagged:
      return tagged_arguments();
    default:
      return whole_arguments();
  }
}

// Behind a name: whatever stands there up to the object, an id among it; then the object.
bool ToolCallParser::Impl::json_arguments() {
  if (!in_call_) {
    const size_t open = buffer_.find('{');
    if (open == buffer_.npos || open > kMostBetween) {
      if (!over_ && buffer_.size() <= kMostBetween) return false;
      give_up();
      return true;
    }
    // The id stands behind the text that the format has before it.
    std::string id, label;
    for (size_t i = 1; i < f_.parts.size(); ++i)
      if (f_.parts[i].kind == Part::Kind::id && f_.parts[i - 1].kind == Part::Kind::text)
        label = trimmed(f_.parts[i - 1].text);
    const size_t found = label.empty() ? buffer_.npos : buffer_.find(label);
    if (found < open)
      for (size_t i = found + label.size(); i < open && is_name(buffer_[i]); ++i) id += buffer_[i];
    take(open);
    begin_call(name_, id);
    return true;
  }
  for (size_t i = 0; i < buffer_.size(); ++i) {
    const char c = buffer_[i];
    if (in_string_) {
      in_string_ = c != '"' || escaped_;
      escaped_ = c == '\\' && !escaped_;
      continue;
    }
    in_string_ = c == '"';
    depth_ += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth_ > 0) continue;
    emit(Kind::arguments, buffer_.substr(0, i + 1));
    take(i + 1);
    end_call(true);
    return true;
  }
  emit(Kind::arguments, buffer_);
  take(buffer_.size());
  return true;
}

// <parameter=key>value</parameter> and so on; each is given on when it is whole.
bool ToolCallParser::Impl::tagged_arguments() {
  const std::string begin = trimmed(f_.tags.begin), end = trimmed(f_.tags.end);
  if (!in_call_) {  // what is left of the tag of the name: ">" or "\">"
    const auto found = stands(name_end_, skip_space(0));
    if (!found) return false;
    if (*found) take(skip_space(0) + name_end_.size());
    begin_call(name_, "");
    emit(Kind::arguments, "{");
    return true;
  }
  const size_t at = skip_space(0);
  const auto member = stands(begin, at);
  if (!member) return false;
  if (!*member) {
    if (at < buffer_.size() || over_) emit(Kind::arguments, "}");
    end_call(at < buffer_.size());
    return true;
  }
  size_t key_end = at + begin.size();
  while (key_end < buffer_.size() && buffer_[key_end] != '<' && buffer_[key_end] != '>' &&
         buffer_[key_end] != '"')
    ++key_end;
  size_t value = buffer_.npos;
  for (const std::string& tag : {f_.tags.string_value, f_.tags.other_value}) {
    const auto found = stands(trimmed(tag), key_end);
    if (!found) return false;
    if (*found && value == buffer_.npos) value = key_end + trimmed(tag).size();
  }
  if (value == buffer_.npos) {
    end_call(false);
    at_ = At::content;
    return true;
  }
  const size_t close = buffer_.find(end, value);
  if (close == buffer_.npos) {
    if (over_) take(buffer_.size());
    return false;
  }
  std::string_view text = std::string_view(buffer_).substr(value, close - value);
  // One newline on each side belongs to the tags where the format has it.
  if (f_.tags.string_value.ends_with('\n') && text.starts_with('\n')) text.remove_prefix(1);
  if (f_.tags.end.starts_with('\n') && text.ends_with('\n')) text.remove_suffix(1);
  const std::string key = trimmed(buffer_.substr(at + begin.size(), key_end - at - begin.size()));
  emit(Kind::arguments, std::string(first_member_ ? "" : ", ") +
                            tool_calls::tagged_argument(key, "{}", "") + ": " +
                            tool_calls::tagged_argument(text, schema_of(name_), key));
  first_member_ = false;
  take(close + end.size());
  return true;
}

// Python's and Gemma's are given on when they are whole.
bool ToolCallParser::Impl::whole_arguments() {
  const bool gemma = f_.arguments == Arguments::gemma;
  const size_t end = gemma ? tool_calls::closing_gemma_bracket(buffer_, 0)
                           : tool_calls::closing_bracket(buffer_, 0);
  const bool opens = buffer_[0] == (gemma ? '{' : '(');
  if (opens && end == buffer_.npos && !over_) return false;
  const auto json = !opens || end == buffer_.npos ? std::nullopt
                    : gemma ? tool_calls::gemma_arguments(buffer_.substr(0, end))
                            : tool_calls::python_arguments(buffer_.substr(1, end - 2));
  if (!json) {
    give_up();
    return true;
  }
  take(end);
  begin_call(name_, "");
  emit(Kind::arguments, *json);
  end_call(true);
  return true;
}

}  // namespace lm
