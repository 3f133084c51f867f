// The playground: a page that is embedded in the library and asks nobody but this server.
#include "engine/serve/call.h"
#include "engine/serve/route.h"

// LM_PAGE_FOLDER is set by the build.
#define LM_PAGE_FILE(symbol, file)                                               \
  __asm__(".section .rodata\n.global " #symbol "\n.hidden " #symbol "\n" #symbol \
          ":\n"                                                                  \
          ".incbin \"" LM_PAGE_FOLDER file "\"\n.byte 0\n.previous\n");          \
  extern "C" __attribute__((visibility("hidden"))) const char symbol[]

LM_PAGE_FILE(lm_page_index, "/index.html");
LM_PAGE_FILE(lm_page_style, "/style.css");
LM_PAGE_FILE(lm_page_app, "/app.js");

namespace lm::serve {
namespace {

void send(Call& call, const char* bytes, const char* content_type) {
  HttpHeaders headers = call.headers(content_type);
  headers.emplace_back("cache-control", "no-cache");
  headers.emplace_back("content-security-policy",
                       "default-src 'self'; img-src data:; frame-ancestors 'none'");
  headers.emplace_back("x-content-type-options", "nosniff");
  call.http.answer({200, std::move(headers), bytes});
}

void index(Call& call) {
  send(call, lm_page_index, "text/html; charset=utf-8");
}
void style(Call& call) {
  send(call, lm_page_style, "text/css; charset=utf-8");
}
void app(Call& call) {
  send(call, lm_page_app, "text/javascript; charset=utf-8");
}

Route at(const char* path, const char* summary, void (*handle)(Call&)) {
  return {"GET", path, summary, Dialect::openai, Route::Access::open, {}, true, handle};
}

}  // namespace

Route route_page() {
  return at("/", "A page to try the models on", index);
}
Route route_page_style() {
  return at("/page/style.css", "The page's style", style);
}
Route route_page_app() {
  return at("/page/app.js", "The page's program", app);
}

}  // namespace lm::serve
