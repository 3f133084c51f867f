// Files that a server keeps.
#pragma once

#include <string>

#include "engine/serve/json.h"
#include "engine/serve/store.h"

namespace lm::serve {

// Keeps a file and returns its description.
Json save_file(Store& store, const std::string& filename, const std::string& purpose,
               const std::string& data);

}  // namespace lm::serve
