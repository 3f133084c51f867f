// The HTTP client behind api/net.h.
#pragma once

#include "engine/api/net.h"

namespace lm {

std::unique_ptr<HttpConnection> connect_http(const HttpOrigin& origin, const HttpOptions& options,
                                             SocketGuard& guard);

}  // namespace lm
