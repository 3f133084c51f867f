// OpenAI's files: what batches read and write.
#include "engine/serve/files.h"

#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/multipart.h"
#include "engine/serve/route.h"

namespace lm::serve {

Json save_file(Store& store, const std::string& filename, const std::string& purpose,
               const std::string& data) {
  const std::string id = new_id("file-");
  Json file = {{"id", id},
               {"object", "file"},
               {"bytes", data.size()},
               {"created_at", unix_time()},
               {"filename", filename},
               {"purpose", purpose},
               {"status", "processed"}};
  store.put("file", id, dump(file), data);
  return file;
}

namespace {

void create(Call& call) {
  const HttpServerRequest& request = call.http.request();
  std::string purpose, filename;
  std::string_view data;
  bool found = false;
  for (const FormPart& part : parse_form(request.body, request.header("content-type"))) {
    if (part.name == "purpose") purpose = std::string(part.data);
    if (part.name != "file") continue;
    filename = part.filename;
    data = part.data;
    found = true;
  }
  if (!found) throw ApiError(400, "file is missing", "file", "missing_required_parameter");
  if (purpose.empty())
    throw ApiError(400, "purpose is missing", "purpose", "missing_required_parameter");
  call.answer(save_file(call.core.store, filename, purpose, std::string(data)));
}

void list(Call& call) {
  const std::string purpose = call.http.request().query_value("purpose");
  Json data = Json::array();
  for (const std::string& body : call.core.store.list("file", 10000)) {
    Json file = Json::parse(body);
    if (purpose.empty() || file["purpose"] == purpose) data.push_back(std::move(file));
  }
  call.answer({{"object", "list"}, {"data", std::move(data)}, {"has_more", false}});
}

ApiError missing(const Call& call) {
  return ApiError(404, fmt::format("there is no file \"{}\"", call.path_id), "id", "not_found");
}

void retrieve(Call& call) {
  const auto body = call.core.store.get("file", call.path_id);
  if (!body) throw missing(call);
  call.answer(Json::parse(*body));
}

void content(Call& call) {
  auto data = call.core.store.data("file", call.path_id);
  if (!data) throw missing(call);
  call.answer_text(std::move(*data), "application/octet-stream");
}

void erase(Call& call) {
  if (!call.core.store.erase("file", call.path_id)) throw missing(call);
  call.answer({{"id", call.path_id}, {"object", "file"}, {"deleted", true}});
}

Route at(const char* method, const char* path, const char* summary, void (*handle)(Call&)) {
  return {method, path, summary, Dialect::openai, Route::Access::key, {}, false, handle};
}

}  // namespace

Route route_files_create() {
  return at("POST", "/v1/files", "Keeps a file: a form with file and purpose", create);
}
Route route_files() {
  return at("GET", "/v1/files", "Lists the files", list);
}
Route route_file() {
  return at("GET", "/v1/files/{id}", "Describes a file", retrieve);
}
Route route_file_content() {
  return at("GET", "/v1/files/{id}/content", "Returns a file's bytes", content);
}
Route route_file_delete() {
  return at("DELETE", "/v1/files/{id}", "Forgets a file", erase);
}

}  // namespace lm::serve
