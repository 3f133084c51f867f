// OpenAI's batches: https://platform.openai.com/docs/api-reference/batch
#include "engine/serve/batches.h"

#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

void create(Call& call) {
  const Json& body = call.body();
  const Json* metadata = member(body, "metadata");
  call.answer(call.core.batches->create(text_or(body, "input_file_id", ""),
                                        text_or(body, "endpoint", ""),
                                        metadata ? *metadata : Json(nullptr)));
}
void list(Call& call) {
  call.answer(call.core.batches->list());
}
void retrieve(Call& call) {
  call.answer(call.core.batches->get(call.path_id));
}
void cancel(Call& call) {
  call.answer(call.core.batches->cancel(call.path_id));
}

Route at(const char* method, const char* path, const char* summary, Fields fields,
         void (*handle)(Call&)) {
  return {method, path,  summary, Dialect::openai, Route::Access::key, std::move(fields),
          false,  handle};
}

}  // namespace

Route route_batches_create() {
  return at("POST", "/v1/batches", "Answers the lines of a file in the background",
            {required("input_file_id", "string", "a file of {custom_id, method, url, body} lines"),
             required("endpoint", "string", "the url of all lines"),
             works("metadata", "object", "notes of the client, kept with the batch"),
             noted("completion_window", "string", "it is answered as soon as possible"),
             refused("output_expires_after", "files stay until they are deleted", "null")},
            create);
}
Route route_batches() {
  return at("GET", "/v1/batches", "Lists the batches", {}, list);
}
Route route_batch() {
  return at("GET", "/v1/batches/{id}", "Describes a batch", {}, retrieve);
}
Route route_batch_cancel() {
  return at("POST", "/v1/batches/{id}/cancel", "Cancels a batch; answers that are there stay", {},
            cancel);
}

}  // namespace lm::serve
