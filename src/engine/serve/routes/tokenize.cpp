// Tokens of texts and texts of tokens, with the fields of vLLM and of llama.cpp.
#include <nlohmann/json.hpp>

#include "engine/serve/generation_fields.h"
#include "engine/serve/prompt.h"
#include "engine/serve/route.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unicode.h"

namespace lm::serve {
namespace {

std::vector<int32_t> tokens_of(Call& call, ServedModel& model) {
  const Json& body = call.body();
  if (const Json* messages = member(body, "messages")) {
    ChatPromptOptions options;
    options.tools = member(body, "tools");
    options.add_generation_prompt = boolean_or(body, "add_generation_prompt", true);
    return chat_prompt(model, *messages, options).ids;
  }
  const Json* content = member(body, "content");  // llama.cpp's, which adds no special tokens
  const Json* prompt = member(body, "prompt");
  if (!content && !prompt)
    throw ApiError(400, "expected one of prompt, content and messages", "prompt",
                   "missing_required_parameter");
  return model.tokenizer().encode(
      (prompt ? prompt : content)->get<std::string>(),
      {boolean_or(body, prompt ? "add_special_tokens" : "add_special", prompt != nullptr),
       boolean_or(body, "parse_special", true)});
}

Json pieces_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Json list = Json::array();
  for (const int32_t id : ids) list.push_back(std::string(tokenizer.token_text(id)));
  return list;
}

// As llama.cpp shows it: text, or bytes where they are no whole characters.
Json piece_of(const Tokenizer& tokenizer, int32_t id) {
  const std::string text(tokenizer.is_special(id) ? tokenizer.token_text(id)
                                                  : tokenizer.token_bytes(id));
  if (is_valid_utf8(text)) return text;
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

void tokenize(Call& call) {
  ServedModel model = call.served_model();
  const auto ids = tokens_of(call, model);
  Json tokens = ids;
  if (boolean_or(call.body(), "with_pieces", false))
    for (size_t i = 0; i < ids.size(); ++i)
      tokens[i] = {{"id", ids[i]}, {"piece", piece_of(model.tokenizer(), ids[i])}};
  Json out = {
      {"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", model.context}};
  if (boolean_or(call.body(), "return_token_strs", false))
    out["token_strs"] = pieces_of(model.tokenizer(), ids);
  call.answer(out);
}

void detokenize(Call& call) {
  const ServedModel model = call.served_model();
  const auto ids =
      ids_of(*member(call.body(), "tokens"), "tokens", model.model().info().vocab_size);
  const std::string text =
      model.tokenizer().decode(ids, boolean_or(call.body(), "skip_special_tokens", false));
  call.answer({{"prompt", text}, {"content", text}});
}

}  // namespace

Route route_tokenize() {
  return {"POST",
          "/tokenize",
          "Splits a text or a conversation into tokens",
          Dialect::openai,
          Route::Access::key,
          {works("model", "string", "name of a served model; absent: the first"),
           works("prompt", "string", "a text"),
           works("content", "string", "a text, without the tokens around it"),
           works("messages", "array", "a conversation, through the chat template"),
           works("tools", "array", "with messages"),
           works("add_special_tokens", "boolean", "with prompt: the tokens around it; true"),
           works("add_special", "boolean", "with content: the tokens around it; false"),
           works("parse_special", "boolean", "names of special tokens stand for them; true"),
           works("add_generation_prompt", "boolean", "with messages; true"),
           works("return_token_strs", "boolean", "add token_strs, as the vocabulary spells them"),
           works("with_pieces", "boolean",
                 "tokens are {id, piece}; a piece is a text, or bytes where it ends inside of a "
                 "character")},
          false,
          tokenize};
}

Route route_detokenize() {
  return {"POST",
          "/detokenize",
          "Joins tokens to their text",
          Dialect::openai,
          Route::Access::key,
          {works("model", "string", "name of a served model; absent: the first"),
           required("tokens", "array", "token ids"),
           works("skip_special_tokens", "boolean", "leave special tokens out; false")},
          false,
          detokenize};
}

}  // namespace lm::serve
