// Makes the server behind api/serve.h.
#pragma once

#include <memory>

#include "engine/api/serve.h"

namespace lm::serve {

std::unique_ptr<Server> make_server(const ServeOptions& options);

}  // namespace lm::serve
