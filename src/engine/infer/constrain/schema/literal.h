// What a value must satisfy, as a set of literals: schemas of the document, their negations, and
// the simple conditions that a negation falls into.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/infer/constrain/schema/document.h"

namespace lm {

// Types as bits; a number is an integer or a fraction.
enum : uint32_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kFractionType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kNumberType = kIntegerType | kFractionType,
  kAllTypes = 127
};

struct Literal {
  enum class Kind : uint8_t {
    schema,          // node
    not_schema,      // node
    types,           // n: bits
    has,             // objects have the property `name`
    lacks,           // objects lack it
    property,        // it satisfies the literal `sub` where it is there
    exclude,         // is none of the list `node`, or not `node` when n is 1
    min_length,      // n
    max_length,      // n
    not_pattern,     // node
    not_format,      // node
    minimum,         // node; n: 1 for exclusive
    maximum,         // node; n
    not_multiple,    // node
    min_items,       // n
    max_items,       // n
    min_properties,  // n
    max_properties   // n
  };
  Kind kind;
  const Json* node = nullptr;
  int64_t n = 0;
  std::string name = {};
  uint32_t sub = 0;
  auto operator<=>(const Literal&) const = default;
};

using LiteralId = uint32_t;
using Goal = std::vector<LiteralId>;  // all of them hold; sorted, each once

class Literals {
 public:
  LiteralId id(Literal literal) {
    const auto [it, added] = ids_.emplace(literal, static_cast<LiteralId>(list_.size()));
    if (added) list_.push_back(std::move(literal));
    return it->second;
  }
  LiteralId schema(const Json& node) { return id({Literal::Kind::schema, &node}); }
  LiteralId negated(const Json& node) { return id({Literal::Kind::not_schema, &node}); }
  LiteralId types(uint32_t bits) { return id({Literal::Kind::types, nullptr, bits}); }
  const Literal& operator[](LiteralId i) const { return list_[i]; }

 private:
  std::map<Literal, LiteralId> ids_;
  std::vector<Literal> list_;
};

}  // namespace lm
