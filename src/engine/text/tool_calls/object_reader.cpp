#include "engine/text/tool_calls/object_reader.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace lm::tool_calls {

using json = nlohmann::json;

namespace {

constexpr size_t kMostUndecided = 1 << 16, kMostKey = 256;
constexpr int kMostDepth = 200;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// The meaning of a string as it is spelled, quotes included; the spelling itself when it is none.
std::string decoded(const std::string& token) {
  const json value = json::parse(token, nullptr, false);
  return value.is_string() ? value.get<std::string>() : token;
}

}  // namespace

ObjectReader::ObjectReader(const ToolCallFormat& format,
                           std::function<bool(const std::string&)> is_tool, bool marked, Sink sink)
    : f_(format),
      is_tool_(std::move(is_tool)),
      marked_(marked),
      name_is_key_(marked && format.arguments == ToolCallFormat::Arguments::json &&
                   format.name_key.empty()),
      sink_(std::move(sink)) {}

ObjectReader::Status ObjectReader::push(char c) {
  if (!begun_ && ++undecided_ > kMostUndecided) return Status::failed;
  return step(c);
}

ObjectReader::Use ObjectReader::use_of(const std::string& key) const {
  if (key == f_.name_key || key == "name" || key == "tool_name") return Use::name;
  if (key == f_.arguments_key || key == "arguments" || key == "parameters") return Use::arguments;
  if (key == f_.id_key || key == "id" || key == "tool_call_id") return Use::id;
  if (key == "function" || key == "tool_call" || key == "function_call") return Use::wrapper;
  return Use::ignore;
}

ObjectReader::Status ObjectReader::step(char c) {
  switch (at_) {
    case At::open:
      at_ = At::key_or_close;
      return c == '{' ? Status::more : Status::failed;
    case At::key_or_close:
      if (c == '}') return close();
      [[fallthrough]];
    case At::key:
      if (is_space(c)) return Status::more;
      if (c == '}') return close();  // a comma too many
      token_ = "\"";
      at_ = At::in_key;
      return c == '"' ? Status::more : Status::failed;
    case At::in_key:
      token_ += c;
      if (token_.size() > kMostKey) return Status::failed;
      if (c == '"' && !escaped_) {
        const std::string key = decoded(token_);
        use_ = use_of(key);
        if (name_is_key_ && !has_name_) {
          name_ = key;
          has_name_ = true;
          use_ = Use::arguments;
        }
        if (use_ == Use::ignore && !marked_ && key != "type") return Status::failed;
        at_ = At::colon;
      }
      escaped_ = c == '\\' && !escaped_;
      return Status::more;
    case At::colon:
      if (is_space(c)) return Status::more;
      at_ = At::value;
      return c == ':' ? Status::more : Status::failed;
    case At::value:
      if (is_space(c)) return Status::more;
      return start_value(c) ? Status::more : Status::failed;
    case At::in_value:
      if (scalar_ && (c == ',' || c == '}' || is_space(c))) {
        if (!end_value()) return Status::failed;
        return step(c);
      }
      return in_nested(c) ? Status::more : Status::failed;
    case At::behind_value:
      if (is_space(c)) return Status::more;
      if (c == '}') return close();
      at_ = At::key;
      return c == ',' ? Status::more : Status::failed;
  }
  return Status::failed;
}

bool ObjectReader::start_value(char c) {
  if (use_ == Use::wrapper && c == '{') {
    at_ = At::key_or_close;
    return ++wrappers_ <= 3;
  }
  if (use_ == Use::wrapper) use_ = Use::name;  // "function": "f"
  token_.clear();
  depth_ = 0;
  in_string_ = escaped_ = false;
  string_value_ = c == '"';
  scalar_ = c != '"' && c != '{' && c != '[';
  at_ = At::in_value;
  if (use_ == Use::arguments) {
    if (has_arguments_) return false;
    has_arguments_ = true;
    if (!string_value_) try_begin(false);
  }
  return scalar_ && (c == ',' || c == '}') ? false : in_nested(c);
}

// A byte of a value.
bool ObjectReader::in_nested(char c) {
  if (use_ == Use::arguments && !string_value_)
    stream(c);
  else
    token_ += c;
  if (!marked_ && !begun_ && static_cast<unsigned char>(c) < 0x20 && in_string_) return false;
  if (in_string_) {
    const bool over = c == '"' && !escaped_;
    escaped_ = c == '\\' && !escaped_;
    if (!over) return true;
    in_string_ = false;
    return depth_ > 0 || end_value();
  }
  if (c == '"') {
    in_string_ = true;
    return !scalar_;
  }
  if (c == '{' || c == '[') return !scalar_ && ++depth_ <= kMostDepth;
  if (c == '}' || c == ']') return --depth_ > 0 || end_value();
  return true;
}

void ObjectReader::stream(char c) {
  if (begun_)
    sink_.arguments(std::string(1, c));
  else
    arguments_ += c;
}

bool ObjectReader::end_value() {
  at_ = At::behind_value;
  if (use_ == Use::name) {
    if (!string_value_) return false;
    name_ = decoded(token_);
    has_name_ = true;
    // With the arguments already there the call can begin.
    if (!marked_ && !is_tool_(name_)) return false;
    if (name_.empty()) return false;
  } else if (use_ == Use::id) {
    id_ = string_value_ ? decoded(token_) : token_;
  } else if (use_ == Use::arguments && string_value_) {
    arguments_ = decoded(token_);  // JSON in a string
    if (!json::accept(arguments_)) return false;
    try_begin(false);
  }
  return true;
}

// Begins as soon as all is known that the beginning tells: the name, and the id where one can come
// before the arguments only.
void ObjectReader::try_begin(bool closing) {
  if (begun_ || !has_name_ || (!has_arguments_ && !closing)) return;
  // An id behind the arguments is waited for.
  if (!closing && !f_.id_key.empty() && id_.empty() &&
      f_.parts.back().text.find('"') != std::string::npos)
    return;
  begun_ = true;
  sink_.begin(name_, id_);
  if (!arguments_.empty()) sink_.arguments(std::exchange(arguments_, {}));
}

ObjectReader::Status ObjectReader::close() {
  if (wrappers_ > 0) {
    --wrappers_;
    at_ = At::behind_value;
    return Status::more;
  }
  at_ = At::behind_value;
  return finish() ? Status::done : Status::failed;
}

bool ObjectReader::finish() {
  if (at_ != At::behind_value || !has_name_ || (!marked_ && !has_arguments_)) return false;
  if (!has_arguments_) arguments_ = "{}";
  has_arguments_ = true;
  try_begin(true);
  return true;
}

}  // namespace lm::tool_calls
