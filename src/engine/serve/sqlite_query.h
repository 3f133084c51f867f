// Questions of others to an SQLite database: reading only, within limits.
#pragma once

#include <string>

#include "engine/api/serve.h"

namespace lm::serve {

std::string query_sqlite(const SqliteQuery& query);

}  // namespace lm::serve
