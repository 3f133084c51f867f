// A Lua value outside of any Lua state: what travels between the states of different threads. Free
// of Lua.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lm {

struct ValueTable;

// An engine object behind a userdata (see bindings/shared_handle.h): the copy shares the object.
struct SharedObject {
  const char* type_name = nullptr;
  std::shared_ptr<void> object;
};

using Value = std::variant<std::monostate, bool, double, std::string,
                           std::shared_ptr<const ValueTable>, SharedObject>;

struct ValueTable {
  std::vector<std::pair<Value, Value>> entries;
};

}  // namespace lm
