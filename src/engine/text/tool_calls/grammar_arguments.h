// The grammar of one tool's arguments, in each of the ways that models write them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/api/tool_calls.h"

namespace lm::tool_calls {

// A text as GBNF spells it, quotes included.
std::string gbnf_string(std::string_view text);

class ArgumentsGrammar {
 public:
  // tool: for notes. rule: the name of the rule to write, and what those below it begin with.
  ArgumentsGrammar(const ToolCallFormat& format, std::string tool, std::string rule)
      : f_(format), tool_(std::move(tool)), rule_(std::move(rule)) {}
  // The rules, one a line.
  std::string write(const nlohmann::ordered_json& schema);
  // What the grammar allows though the schema does not.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  using Json = nlohmann::ordered_json;
  std::string json_value(const Json& schema, const std::string& path, const char* otherwise);
  std::string tagged_members(const Json& schema);
  std::string tagged_value(const Json& schema, const std::string& path);
  std::string python_value(const Json& schema, const std::string& path);
  std::string gemma_value(const Json& schema, const std::string& path, int depth);
  // Members in the schema's order, those not required may be left out, with commas between.
  template <typename Member>
  std::string listed_members(const Json& schema, const char* comma, Member&& member);
  std::string new_rule(const std::string& body);

  const ToolCallFormat& f_;
  const std::string tool_, rule_;
  std::string rules_;
  size_t n_rules_ = 0;
  const Json* root_ = nullptr;
  std::vector<std::string> notes_;
};

}  // namespace lm::tool_calls
