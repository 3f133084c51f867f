// From requests to routes: keys, limits, bodies, hooks, errors, log lines.
#pragma once

#include "engine/api/http_server.h"
#include "engine/serve/core.h"

namespace lm::serve {

// The handlers of a server whose core outlives them.
HttpHandlers make_handlers(Core& core);

}  // namespace lm::serve
