// Whether the server lives, and whether it should get requests: for load balancers.
#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

void health(Call& call) {
  call.answer({{"status", "ok"}});
}

// Ready: it has a model and takes requests.
void ready(Call& call) {
  const bool draining = call.core.http && call.core.http->draining();
  const bool models = !call.core.models.names().empty();
  call.answer({{"status", draining ? "draining"
                          : models ? "ready"
                                   : "no models"}},
              draining || !models ? 503 : 200);
}

void openapi(Call& call) {
  static const std::string text = openapi_text();
  call.answer_text(text, "application/json");
}

}  // namespace

Route route_health() {
  return {"GET", "/health", "Tells that the server lives", Dialect::openai, Route::Access::open, {},
          true,  health};
}

Route route_ready() {
  return {"GET",
          "/ready",
          "Tells whether the server has models and takes requests; else 503",
          Dialect::openai,
          Route::Access::open,
          {},
          true,
          ready};
}

Route route_openapi() {
  return {"GET",
          "/openapi.json",
          "Describes all routes (OpenAPI 3.1)",
          Dialect::openai,
          Route::Access::open,
          {},
          true,
          openapi};
}

}  // namespace lm::serve
