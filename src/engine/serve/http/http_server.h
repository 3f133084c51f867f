// Makes the server behind api/http_server.h.
#pragma once

#include <memory>

#include "engine/api/http_server.h"

namespace lm::http {

// Listens at once. Throws bad_option for options out of range, network where the address cannot be
// had, not_found and bad_file for certificates.
std::unique_ptr<HttpServer> make_http_server(const HttpServerOptions& options,
                                             HttpHandlers handlers);

}  // namespace lm::http
