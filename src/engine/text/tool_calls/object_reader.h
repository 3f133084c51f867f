// Reads one call written as a JSON object, byte by byte: {"name": ..., "arguments": {...}}, in any
// order and spacing, with the keys that models have been seen to use, bare or inside of
// {"type": "function", "function": {...}}.
#pragma once

#include <functional>
#include <string>

#include "engine/api/tool_calls.h"

namespace lm::tool_calls {

class ObjectReader {
 public:
  enum class Status : uint8_t { more, done, failed };
  // begin(name, id) comes first, then arguments(piece); all pieces are one JSON text.
  struct Sink {
    std::function<void(const std::string& name, const std::string& id)> begin;
    std::function<void(const std::string& piece)> arguments;
  };
  // is_tool: whether a name is one of a tool; marked: something else already says that this is a
  // call, so that unknown keys and names do not matter.
  ObjectReader(const ToolCallFormat& format, std::function<bool(const std::string&)> is_tool,
               bool marked, Sink sink);

  // The next byte; the first must be '{'. After done or failed no more may come. Failing after
  // begun() means that the call broke off there.
  Status push(char c);
  bool begun() const { return begun_; }
  // The end of the answer: whether what was read can be taken for a whole call.
  bool finish();

 private:
  enum class At : uint8_t { open, key_or_close, key, in_key, colon, value, in_value, behind_value };
  enum class Use : uint8_t { ignore, name, arguments, id, wrapper };
  Status step(char c);
  Use use_of(const std::string& key) const;
  bool start_value(char c);
  bool end_value();
  Status close();
  bool in_nested(char c);
  void stream(char c);
  void try_begin(bool closing);

  const ToolCallFormat& f_;
  const std::function<bool(const std::string&)> is_tool_;
  const bool marked_, name_is_key_;
  const Sink sink_;
  At at_ = At::open;
  Use use_ = Use::ignore;
  bool escaped_ = false, in_string_ = false, string_value_ = false, scalar_ = false;
  int depth_ = 0;  // of brackets in a value
  int wrappers_ = 0;
  std::string token_;                  // a key or value as it is spelled
  std::string name_, id_, arguments_;  // arguments: not yet given on
  bool has_name_ = false, has_arguments_ = false, begun_ = false;
  size_t undecided_ = 0;  // bytes read before begun()
};

}  // namespace lm::tool_calls
