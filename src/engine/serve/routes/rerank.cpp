// Documents in the order in which they answer a query, in the shape of Jina and Cohere.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/serve/embed.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

// Documents are texts, or objects with a text.
std::vector<std::string> documents_of(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list) {
    const Json* text = item.is_object() ? member(item, "text") : &item;
    if (!text || !text->is_string())
      throw ApiError(400, "documents: each must be a string or an object with a text", "documents",
                     "invalid_type");
    out.push_back(text->get<std::string>());
  }
  if (out.empty()) throw ApiError(400, "documents is empty", "documents", "invalid_value");
  return out;
}

void handle(Call& call) {
  const Json& body = call.body();
  ServedModel model = call.served_model();
  const auto documents = documents_of(*member(body, "documents"));
  const auto found = relevance_of(call, model, text_or(body, "query", ""), documents);
  std::vector<size_t> order(found.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return found[a].score > found[b].score; });
  order.resize(std::min(order.size(), static_cast<size_t>(integer_or(
                                          body, "top_n", static_cast<int64_t>(order.size())))));
  const bool with_documents = boolean_or(body, "return_documents", false);
  Json results = Json::array();
  for (const size_t i : order) {
    results.push_back({{"index", i}, {"relevance_score", found[i].relevance}});
    if (with_documents) results.back()["document"] = {{"text", documents[i]}};
  }
  call.answer(
      {{"id", call.id},
       {"object", "list"},
       {"model", model.name},
       {"usage", {{"prompt_tokens", call.prompt_tokens}, {"total_tokens", call.prompt_tokens}}},
       {"results", std::move(results)}});
}

Route at(const char* path) {
  return {"POST",
          path,
          "Orders documents by how well they answer a query",
          Dialect::openai,
          Route::Access::key,
          {works("model", "string", "name of a served model; absent: the first"),
           required("query", "string", "what is looked for"),
           required("documents", "array", "texts, or objects with a text"),
           works("top_n", "integer", "return this many only", 1, 1e9),
           works("return_documents", "boolean", "add the documents to the results")},
          false,
          handle};
}

}  // namespace

Route route_rerank() {
  return at("/rerank");
}
Route route_v1_rerank() {
  return at("/v1/rerank");
}

}  // namespace lm::serve
