#include "engine/infer/speculate/drafter.h"

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/models/model_spec.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

void check_vocabulary(const Model& draft, const Model& model) {
  LM_CHECK(draft.info().vocab_size == model.info().vocab_size, ErrorCode::bad_option,
           "the draft model \"{}\" has {} tokens, the model {}; expected the same vocabulary",
           draft.info().name, draft.info().vocab_size, model.info().vocab_size);
  const Tokenizer &a = *draft.tokenizer(), &b = *model.tokenizer();
  for (int32_t id = 0; id < static_cast<int32_t>(model.info().vocab_size); ++id)
    LM_CHECK(a.token_text(id) == b.token_text(id), ErrorCode::bad_option,
             "token {} is \"{}\" in the draft model \"{}\" and \"{}\" in the model; expected the "
             "same vocabulary",
             id, a.token_text(id), draft.info().name, b.token_text(id));
}

}  // namespace

std::unique_ptr<Drafter> make_drafter(const SpeculationOptions& o, const Model& model) {
  LM_CHECK(o.max_draft_tokens >= 1 && o.max_draft_tokens <= 7, ErrorCode::bad_option,
           "max_draft_tokens is {}; expected 1..7", o.max_draft_tokens);
  // A recurrent state cannot take a wrong guess back.
  if (o.kind == SpeculationOptions::Kind::none || model.spec().recurrent()) return nullptr;
  if (o.kind == SpeculationOptions::Kind::prompt_lookup) return make_prompt_lookup();
  LM_CHECK(o.draft != nullptr, ErrorCode::bad_option,
           "speculation by a draft model has no draft model");
  check_vocabulary(*o.draft->model(), model);
  return make_draft_model(o.draft);
}

}  // namespace lm
