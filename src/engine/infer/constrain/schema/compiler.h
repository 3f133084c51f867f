// From goals to rules of the grammar.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/infer/constrain/front_ends.h"
#include "engine/infer/constrain/schema/facets.h"
#include "engine/infer/constrain/schema/members.h"
#include "engine/infer/constrain/schema/validate.h"

namespace lm {

class SchemaCompiler {
 public:
  SchemaCompiler(Grammar& g, SchemaDocument& document, const JsonSchemaOptions& options,
                 std::vector<std::string>& notes);
  // The rule of the document's root. Throws unsupported naming everything that is not supported.
  RuleId compile();

 private:
  RuleId rule_of(Goal goal);
  void define(RuleId rule, const Goal& goal);
  bool holds(const Facets& f, const Json& value);
  bool holds(const Literal& literal, const Json& value);

  void add_values(const Facets& f, std::vector<ExprId>& ways);
  ExprId value_expression(const Json& value);
  ExprId string_text(const Facets& f);
  ExprId array(const Facets& f);
  ExprId item_list(const Facets& f, const std::vector<RuleId>& first, RuleId rest);
  ExprId with_contains(const Facets& f, const Goal& rest);
  ExprId object(const Facets& f);
  MembersSpec empty_members();
  void add_properties(const Facets& f, MembersSpec& spec, ExprId names,
                      const std::vector<std::string>& known);
  void add_other_keys(const Facets& f, MembersSpec& spec, ExprId names,
                      const std::vector<std::string>& known);
  std::vector<std::string> property_names(const Facets& f);
  ExprId name_texts(const Facets& f);
  Goal goal_of_property(const Facets& f, const std::string& name);
  ExprId pattern_text(const Json& pattern);
  RuleId key_rule(ExprId text);
  [[noreturn]] void unsupported(const Json& schema, const char* keyword, const char* why) const;

  Grammar& g_;
  SchemaDocument& document_;
  const JsonSchemaOptions options_;
  std::vector<std::string>& notes_;
  Literals literals_;
  Expander expander_;
  Validator validator_;
  std::map<Goal, RuleId> rules_;
  std::vector<std::pair<RuleId, Goal>> todo_;
  std::map<ExprId, RuleId> key_rules_;
  std::map<std::string, ExprId> patterns_;
  ExprId space_, colon_, comma_, first_space_;  // between the tokens of JSON
};

}  // namespace lm
