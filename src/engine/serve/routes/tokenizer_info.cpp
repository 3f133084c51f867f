// What vLLM tells of a tokenizer; lm-evaluation-harness asks for it before it scores with a server.
#include <nlohmann/json.hpp>

#include "engine/serve/call.h"
#include "engine/serve/route.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {
namespace {

void handle(Call& call) {
  const ServedModel model = call.core.models.get(call.http.request().query_value("model"));
  const Tokenizer& tokenizer = model.tokenizer();
  const auto spelled = [&](int32_t id) {
    return id < 0 ? Json(nullptr) : Json(std::string(tokenizer.token_text(id)));
  };
  const ChatTemplate* chat = model.model().chat_template();
  call.answer({{"tokenizer_class", tokenizer.kind()},
               {"vocab_size", tokenizer.size()},
               {"model_max_length", model.context},
               {"bos_token", spelled(tokenizer.bos())},
               {"eos_token", spelled(tokenizer.eos().empty() ? -1 : tokenizer.eos()[0])},
               {"pad_token", spelled(tokenizer.pad())},
               {"unk_token", spelled(tokenizer.unk())},
               {"chat_template", chat ? Json(chat->source()) : Json(nullptr)}});
}

}  // namespace

Route route_tokenizer_info() {
  return {"GET",
          "/tokenizer_info",
          "Describes the tokenizer of ?model=NAME; absent: the "
          "first",
          Dialect::openai,
          Route::Access::key,
          {},
          false,
          handle};
}

}  // namespace lm::serve
