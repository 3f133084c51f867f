// A goal without alternatives: the conditions on a value sorted by what they are about.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/infer/constrain/schema/literal.h"

namespace lm {

struct Facets {
  uint32_t types = kAllTypes;
  std::vector<LiteralId> literals;  // all that went in
  // enum and const: the members of these lists (or the value itself) that satisfy all literals.
  std::vector<const Json*> enums, constants;
  std::vector<std::pair<const Json*, bool>> excluded;  // node, whether it is one value

  struct Bound {
    const Json* value;
    bool lower, strict;
  };
  std::vector<Bound> bounds;
  std::vector<const Json*> multiples, not_multiples;

  int64_t min_length = 0, max_length = -1;  // -1: none
  std::vector<const Json*> patterns, not_patterns, formats, not_formats;

  struct Items {
    const Json* prefix = nullptr;
    const Json* rest = nullptr;
  };
  int64_t min_items = 0, max_items = -1;
  std::vector<Items> items;
  std::vector<const Json*> contains;  // schemas that have the keyword
  const Json* unique = nullptr;
  const Json* unevaluated_items = nullptr;

  int64_t min_properties = 0, max_properties = -1;
  std::vector<const Json*> objects;  // schemas with properties, patternProperties, additional...
  std::set<std::string> required, lacks;
  std::vector<std::pair<std::string, LiteralId>> members;  // literals about one property
  std::vector<const Json*> names;                          // propertyNames
  const Json* unevaluated_properties = nullptr;
};

// Turns goals into facets, one for each way through anyOf, oneOf, if and negations.
class Expander {
 public:
  Expander(SchemaDocument& document, Literals& literals, std::vector<std::string>& notes)
      : document_(document), literals_(literals), notes_(notes) {}

  // Throws unsupported for what cannot be expressed, with the place.
  std::vector<Facets> expand(const Goal& goal);
  // Whether a schema says nothing.
  static bool is_trivial(const Json& schema);

 private:
  using Way = std::vector<LiteralId>;
  using Group = std::vector<Way>;
  struct State {
    Facets facets;
    std::vector<LiteralId> todo;
    std::set<LiteralId> seen;
    std::vector<Group> groups;
  };
  void run(State state, std::vector<Facets>& out);
  void absorb(State& s, const Literal& literal);
  void absorb_schema(State& s, const Json& schema);
  void absorb_types(State& s, const Json& schema);
  void absorb_references(State& s, const Json& schema);
  void absorb_applicators(State& s, const Json& schema);
  void absorb_one_of(State& s, const Json& schema, const Json& ways);
  void absorb_dependencies(State& s, const Json& schema);
  void absorb_number(State& s, const Json& schema);
  void absorb_string(State& s, const Json& schema);
  void absorb_array(State& s, const Json& schema);
  void absorb_object(State& s, const Json& schema);
  void negate(State& s, const Json& schema);
  void negate_applicators(Group& g, const Json& schema, std::vector<std::string>& left_out);
  void negate_scalars(Group& g, const Json& schema);
  void negate_containers(Group& g, const Json& schema, std::vector<std::string>& left_out);
  uint32_t types_of(const Json& schema, int depth = 0);
  const Json& behind_refs(const Json& schema);
  bool disjoint(const Json& a, const Json& b, int depth = 0);
  [[noreturn]] void unsupported(const Json& schema, const std::string& keyword,
                                const char* why) const;
  void note(const std::string& text);

  SchemaDocument& document_;
  Literals& literals_;
  std::vector<std::string>& notes_;
  size_t runs_ = 0;
};

}  // namespace lm
