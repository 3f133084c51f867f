// What the parts of the validator share: how keywords are read, and what a check knows.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/infer/constrain/schema/keywords.h"
#include "engine/infer/constrain/schema/validate.h"

namespace lm {

// A count such as maxLength, or -1 when the keyword is absent or no number.
int64_t count_of(const Json& schema, const char* keyword);
// A value as JSON for messages, 60 bytes at most.
std::string shown(const Json& value);

// What subschemas have looked at (draft 2020-12, core, section 11).
struct Validator::Seen {
  std::set<std::string> properties;
  std::set<size_t> items;
  bool all_properties = false, all_items = false;
  size_t items_below = 0;
  void add(const Seen& o) {
    properties.insert(o.properties.begin(), o.properties.end());
    items.insert(o.items.begin(), o.items.end());
    all_properties |= o.all_properties;
    all_items |= o.all_items;
    items_below = std::max(items_below, o.items_below);
  }
};

struct Validator::Call {
  std::vector<JsonProblem>* problems;
  std::string path;
  Seen seen;
};

}  // namespace lm
