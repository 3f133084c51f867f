// Ollama's routes about models: tags, show, ps, version, pull; and its embeddings.
#include <nlohmann/json.hpp>

#include "engine/serve/embed.h"
#include "engine/serve/ollama.h"
#include "engine/serve/route.h"
#include "engine/text/chat_template.h"

namespace lm::serve {
namespace {

void tags(Call& call) {
  Json models = Json::array();
  for (const ModelRow& row : call.core.models.list()) models.push_back(ollama_model(row));
  call.answer({{"models", std::move(models)}});
}

void ps(Call& call) {
  Json models = Json::array();
  for (const ModelRow& row : call.core.models.list()) {
    if (!row.model || !row.parent.empty()) continue;
    Json entry = ollama_model(row);
    const double left = row.unload_s > 0 ? row.unload_s - row.idle_s : 86400.0 * 365;
    entry["expires_at"] = iso_time(unix_time() + static_cast<int64_t>(left));
    entry["size_vram"] = 0;
    entry["context_length"] = row.context;
    models.push_back(std::move(entry));
  }
  call.answer({{"models", std::move(models)}});
}

void show(Call& call) {
  Json body = call.body();  // old clients say name
  if (!member(body, "model") && member(body, "name")) body["model"] = body["name"];
  call.set_body(body);
  const ServedModel model = call.served_model();
  const ModelInfo& info = model.model().info();
  ModelRow row;
  row.name = model.name;
  row.model = model.loaded->model;
  Json capabilities = Json::array({"completion"});
  const ChatTemplate* chat = model.model().chat_template();
  if (chat && chat->mentions("tools")) capabilities.push_back("tools");
  const auto key = [&](const char* name) { return info.architecture + "." + name; };
  call.answer({{"license", ""},
               {"modelfile", ""},
               {"parameters", ""},
               {"template", chat ? chat->source() : ""},
               {"details", ollama_model(row)["details"]},
               {"model_info",
                {{"general.architecture", info.architecture},
                 {"general.basename", info.name},
                 {"general.parameter_count", info.n_params},
                 {key("context_length"), info.context_length},
                 {key("embedding_length"), info.hidden_size},
                 {key("block_count"), info.n_layers},
                 {key("attention.head_count"), info.n_heads},
                 {key("attention.head_count_kv"), info.n_kv_heads}}},
               {"capabilities", std::move(capabilities)},
               {"modified_at", iso_time(unix_time())}});
}

void version(Call& call) {
  call.answer({{"version", LM_VERSION}});
}

// Models come to this server through lm.pull and srv:add; what is served already is there.
void pull(Call& call) {
  Json body = call.body();
  if (!member(body, "model") && member(body, "name")) body["model"] = body["name"];
  call.set_body(body);
  const ServedModel model = call.served_model();
  if (!boolean_or(body, "stream", true)) return call.answer({{"status", "success"}});
  const int64_t bytes = model.model().info().file_bytes;
  ModelRow row;
  row.name = model.name;
  const std::string digest = "sha256:" + ollama_model(row)["digest"].get<std::string>();
  call.line({{"status", "pulling manifest"}});
  call.line({{"status", "pulling " + digest.substr(7, 12)},
             {"digest", digest},
             {"total", bytes},
             {"completed", bytes}});
  for (const char* status : {"verifying sha256 digest", "writing manifest", "success"})
    call.line({{"status", status}});
  call.end_stream();
}

Fields model_field() {
  return {works("model", "string", "name of a served model"),
          works("name", "string", "the same, of old clients"),
          noted("verbose", "boolean", "everything is told")};
}

std::vector<std::vector<float>> vectors(Call& call, ServedModel& model, const char* param) {
  EmbedOptions options;
  options.dimensions = integer_or(call.body(), "dimensions", 0);
  options.normalize = true;
  return embed_texts(call, model, embed_inputs(model, *member(call.body(), param), param), options,
                     param);
}

void embed(Call& call) {
  const auto start = std::chrono::steady_clock::now();
  ServedModel model = call.served_model();
  Json list = Json::array();
  for (const auto& vector : vectors(call, model, "input")) list.push_back(vector);
  const auto ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
  call.answer({{"model", model.name},
               {"embeddings", std::move(list)},
               {"total_duration", ns},
               {"load_duration", 0},
               {"prompt_eval_count", call.prompt_tokens}});
}

void embeddings(Call& call) {
  ServedModel model = call.served_model();
  call.answer({{"embedding", vectors(call, model, "prompt")[0]}});
}

Route get(const char* path, const char* summary, void (*handle)(Call&)) {
  return {"GET", path, summary, Dialect::ollama, Route::Access::key, {}, true, handle};
}
Route post(const char* path, const char* summary, Fields fields, void (*handle)(Call&)) {
  return {"POST", path,  summary, Dialect::ollama, Route::Access::key, std::move(fields),
          false,  handle};
}

}  // namespace

Route route_ollama_tags() {
  return get("/api/tags", "Lists the models, as Ollama does", tags);
}
Route route_ollama_ps() {
  return get("/api/ps", "Lists the models in memory, as Ollama does", ps);
}
Route route_ollama_version() {
  return get("/api/version", "Tells the version", version);
}
Route route_ollama_show() {
  return post("/api/show", "Describes a model, as Ollama does", model_field(), show);
}
Route route_ollama_pull() {
  Fields fields = model_field();
  fields.push_back(works("stream", "boolean", "send progress in lines of JSON; true"));
  fields.push_back(noted("insecure", "boolean", "nothing is fetched"));
  return post("/api/pull",
              "Reports a served model as pulled, as Ollama does; others are added with srv:add",
              std::move(fields), pull);
}
Route route_ollama_embed() {
  return post("/api/embed", "Turns texts into vectors, as Ollama does",
              {required("model", "string", "name of a served model"),
               required("input", "string|array", "a text or a list of texts"),
               works("dimensions", "integer", "keep the first numbers only", 1, 1e6),
               refused("truncate", "texts that are too long are refused", "false|true"),
               noted("options", "object", "about how models run"),
               noted("keep_alive", "string|number", "the server's idle_unload decides")},
              embed);
}
Route route_ollama_embeddings() {
  return post(
      "/api/embeddings", "Turns a text into a vector, as Ollama did",
      {required("model", "string", "name of a served model"),
       required("prompt", "string", "a text"), noted("options", "object", "about how models run"),
       noted("keep_alive", "string|number", "the server's idle_unload decides")},
      embeddings);
}

}  // namespace lm::serve
