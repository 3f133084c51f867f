// OpenAI's model list: https://platform.openai.com/docs/api-reference/models
#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

Json describe(const ModelRow& row) {
  Json out = {{"id", row.name},
              {"object", "model"},
              {"created", row.created},
              {"owned_by", "lmfast"},
              {"root", row.parent.empty() ? row.name : row.parent},
              {"parent", row.parent.empty() ? Json(nullptr) : Json(row.parent)},
              {"loaded", row.loaded}};
  if (!row.model) return out;
  const ModelInfo& info = row.model->info();
  out["max_model_len"] = row.context;
  out["meta"] = {{"architecture", info.architecture},
                 {"n_params", info.n_params},
                 {"dtype", info.dtype},
                 {"size", info.file_bytes},
                 {"n_ctx", row.context},
                 {"n_ctx_train", info.context_length},
                 {"n_vocab", info.vocab_size},
                 {"n_embd", info.hidden_size}};
  return out;
}

void list(Call& call) {
  Json data = Json::array();
  for (const ModelRow& row : call.core.models.list()) data.push_back(describe(row));
  call.answer({{"object", "list"}, {"data", std::move(data)}});
}

void retrieve(Call& call) {
  for (const ModelRow& row : call.core.models.list())
    if (row.name == call.path_id) return call.answer(describe(row));
  throw ApiError(404, fmt::format("the model \"{}\" does not exist", call.path_id), "model",
                 "model_not_found");
}

}  // namespace

Route route_models() {
  return {"GET",
          "/v1/models",
          "Lists the models, adapters too",
          Dialect::openai,
          Route::Access::key,
          {},
          true,
          list};
}

Route route_model() {
  return {"GET", "/v1/models/{id}", "Describes a model", Dialect::openai, Route::Access::key, {},
          true,  retrieve};
}

}  // namespace lm::serve
