// The one exported function of liblmfast_serve.so.
#include "engine/api/serve.h"
#include "engine/serve/http/http_server.h"
#include "engine/serve/route.h"
#include "engine/serve/server.h"
#include "engine/serve/sqlite_query.h"

extern "C" const void* lmfast_serve_open() {
  static constexpr lm::ServeApi kApi{lm::kServeApiVersion,      lm::http::make_http_server,
                                     lm::serve::make_server,    lm::serve::openapi_text,
                                     lm::serve::reference_text, lm::serve::query_sqlite};
  return &kApi;
}
