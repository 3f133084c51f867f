// OpenAI's moderations. What is flagged is for the hook on_moderation to say; without one nothing
// is.
#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

// The hook says which categories a text belongs to, with scores of 0 to 1.
Json judge(const Call& call, const std::string& text) {
  Json categories = Json::object(), scores = Json::object();
  bool flagged = false;
  const auto hooks = call.core.hooks();
  const std::string said = hooks->on_moderation
                               ? hooks->on_moderation(dump(Json{{"id", call.id}, {"input", text}}))
                               : "";
  const Json said_scores = said.empty() ? Json::object() : Json::parse(said);
  for (const auto& [name, score] : said_scores.items()) {
    const double value = score.is_number() ? score.get<double>() : score == true ? 1.0 : 0.0;
    categories[name] = value >= 0.5;
    scores[name] = value;
    flagged = flagged || value >= 0.5;
  }
  return {{"flagged", flagged}, {"categories", categories}, {"category_scores", scores}};
}

void handle(Call& call) {
  const Json& input = *member(call.body(), "input");
  Json results = Json::array();
  const auto add = [&](const Json& item) {
    const Json* text = item.is_object() ? member(item, "text") : &item;
    if (!text || !text->is_string())
      throw ApiError(400, "input: expected a text, a list of texts, or text parts", "input",
                     "invalid_type");
    results.push_back(judge(call, text->get<std::string>()));
  };
  if (input.is_array())
    for (const Json& item : input) add(item);
  else
    add(input);
  call.answer({{"id", new_id("modr-")},
               {"model", text_or(call.body(), "model", "on_moderation")},
               {"results", std::move(results)}});
}

}  // namespace

Route route_moderations() {
  return {"POST",
          "/v1/moderations",
          "Judges texts by the hook on_moderation; without one nothing is flagged",
          Dialect::openai,
          Route::Access::key,
          {required("input", "string|array", "a text, a list of texts, or text parts"),
           noted("model", "string", "the hook decides")},
          false,
          handle};
}

}  // namespace lm::serve
