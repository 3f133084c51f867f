// OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/serve/embed.h"
#include "engine/serve/route.h"
#include "engine/text/base64.h"

namespace lm::serve {
namespace {

// A vector as little-endian f32 in base64, which OpenAI's own clients ask for.
std::string packed(const std::vector<float>& vector) {
  return encode_base64(
      {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
}

void handle(Call& call) {
  const Json& body = call.body();
  const std::string format = text_or(body, "encoding_format", "float");
  if (format != "float" && format != "base64")
    throw ApiError(
        400, fmt::format("encoding_format is \"{}\"; expected \"float\" or \"base64\"", format),
        "encoding_format", "invalid_value");
  ServedModel model = call.served_model();
  EmbedOptions options;
  options.dimensions = integer_or(body, "dimensions", 0);
  options.normalize = true;  // as OpenAI's are
  const auto inputs = embed_inputs(model, *member(body, "input"), "input");
  const auto vectors = embed_texts(call, model, inputs, options, "input");
  Json data = Json::array();
  for (size_t i = 0; i < vectors.size(); ++i)
    data.push_back(
        {{"object", "embedding"},
         {"index", i},
         {"embedding", format == "base64" ? Json(packed(vectors[i])) : Json(vectors[i])}});
  call.answer(
      {{"object", "list"},
       {"data", std::move(data)},
       {"model", model.name},
       {"usage", {{"prompt_tokens", call.prompt_tokens}, {"total_tokens", call.prompt_tokens}}}});
}

}  // namespace

Route route_embeddings() {
  return {"POST",
          "/v1/embeddings",
          "Turns texts into vectors",
          Dialect::openai,
          Route::Access::key,
          {works("model", "string", "name of a served model; absent: the first"),
           required("input", "string|array", "a text, token ids, or a list of either"),
           works("encoding_format", "string", "float, or base64 of little-endian f32"),
           works("dimensions", "integer", "keep the first numbers only (Matryoshka)", 1, 1e6),
           noted("user", "string", "notes of the client")},
          false,
          handle};
}

}  // namespace lm::serve
