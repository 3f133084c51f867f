// The routes of the server: one file each in routes/, one line each in route_list.inc. From the
// list come the answers themselves, /openapi.json and the reference.
#pragma once

#include <string>
#include <vector>

#include "engine/serve/api_error.h"
#include "engine/serve/field.h"

namespace lm::serve {

class Call;

struct Route {
  enum class Access : uint8_t { open, key };
  std::string method;
  std::string path;  // a part "{id}" takes one piece of a path
  std::string summary;
  Dialect dialect = Dialect::openai;
  Access access = Access::key;
  Fields fields;       // of the body; none: there is no body
  bool quick = false;  // answered on the server's own thread: must not wait for anything
  void (*handle)(Call& call) = nullptr;
};

const std::vector<Route>& all_routes();

// Finds the route of a request and what stands for "{id}". allowed: the methods that the path has.
const Route* find_route(const std::string& method, const std::string& path, std::string* id,
                        std::string* allowed);

// The descriptions of all routes.
std::string openapi_text();
std::string reference_text();

}  // namespace lm::serve
