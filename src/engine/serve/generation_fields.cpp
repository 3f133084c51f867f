#include "engine/serve/generation_fields.h"

#include <nlohmann/json.hpp>

#include "engine/api/sampling.h"
#include "engine/core/error.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {
namespace {

// Names under which clients of other servers know the same options.
struct Alias {
  const char* name;
  const char* option;
};
constexpr Alias kAliases[] = {{"repeat_penalty", "repetition_penalty"},
                              {"repeat_last_n", "penalty_window"},
                              {"mirostat_mode", "mirostat"},
                              {"typical", "typical_p"}};

const Json* option(const Json& body, const char* name) {
  if (const Json* value = member(body, name)) return value;
  for (const Alias& alias : kAliases)
    if (std::string_view(alias.option) == name)
      if (const Json* value = member(body, alias.name)) return value;
  return nullptr;
}

void read_numbers(const Json& body, SamplingOptions& o) {
#define LM_OPTION_NUMBER(name, initial, least, most, doc) \
  if (const Json* value = option(body, #name)) o.name = value->get<double>();
#define LM_OPTION_INTEGER(name, initial, least, most, doc) \
  if (const Json* value = option(body, #name)) o.name = value->get<int64_t>();
#define LM_OPTION_BOOLEAN(name, initial, doc) \
  if (const Json* value = option(body, #name)) o.name = value->get<bool>();
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
  if (o.top_k < 0) o.top_k = 0;  // vLLM's "off"
  if (o.seed < 0) o.seed = -1;
}

void read_bias(const Json& body, int64_t vocab, SamplingOptions& o) {
  const Json* bias = member(body, "logit_bias");
  if (!bias) return;
  const auto wrong = [](const std::string& what) {
    return ApiError(400, "logit_bias: " + what, "logit_bias", "invalid_value");
  };
  for (const auto& [key, value] : bias->items()) {
    char* end = nullptr;
    const long long id = std::strtoll(key.c_str(), &end, 10);
    if (key.empty() || *end != '\0' || id < 0 || id >= vocab)
      throw wrong(fmt::format("\"{}\" is no token; expected 0 to {}", key, vocab - 1));
    if (!value.is_number() || std::abs(value.get<double>()) > 100)
      throw wrong(fmt::format("{} for token {}; expected -100 to 100", dump(value), key));
    if (value.get<double>() <= -100)
      o.suppress_tokens.push_back(static_cast<int32_t>(id));
    else
      o.logit_bias.emplace_back(static_cast<int32_t>(id), value.get<float>());
  }
}

void read_lists(const Json& body, const ServedModel& model, SamplingOptions& o) {
  const int64_t vocab = model.model().info().vocab_size;
  read_bias(body, vocab, o);
  if (const Json* ids = member(body, "allowed_token_ids"))
    o.allowed_token_ids = ids_of(*ids, "allowed_token_ids", vocab);
  // A word inside a text has other tokens than at its beginning: both are forbidden.
  for (const std::string& word : texts_of(body, "bad_words"))
    for (const std::string& form : {word, " " + word})
      o.bad_words.push_back(model.tokenizer().encode(form, {false, false}));
  if (member(body, "dry_sequence_breakers"))
    o.dry_sequence_breakers = texts_of(body, "dry_sequence_breakers");
  o.samplers = texts_of(body, "samplers");
}

std::shared_ptr<const Constraint> compile(Call& call, const ServedModel& model,
                                          const ConstraintOptions& options, const char* param) {
  try {
    return call.core.constraints.get(options, model.model().tokenizer());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    throw ApiError(400, fmt::format("{}: {}", param, error.message()), param, "invalid_value");
  }
}

std::shared_ptr<const Constraint> of_text(Call& call, const ServedModel& model, const Json& value,
                                          ConstraintOptions::Language language, const char* param) {
  ConstraintOptions o;
  o.language = language;
  if (language == ConstraintOptions::Language::choices) {
    o.choices = texts_of(Json{{param, value}}, param);
  } else {
    if (!value.is_string())
      throw ApiError(400, fmt::format("{} is a {}; expected a string", param, value.type_name()),
                     param, "invalid_type");
    o.text = value.get<std::string>();
  }
  return compile(call, model, o, param);
}

std::shared_ptr<const Constraint> of_response_format(Call& call, const ServedModel& model,
                                                     const Json& format) {
  const std::string type = text_or(format, "type", "");
  if (type == "text") return nullptr;
  if (type == "json_object") {
    const Json* schema = member(format, "schema");  // llama.cpp's
    return schema_constraint(call, model, schema ? *schema : Json{{"type", "object"}},
                             "response_format");
  }
  if (type == "json_schema") {
    const Json* inner = member(format, "json_schema");
    const Json* schema =
        inner && inner->is_object() ? member(*inner, "schema") : member(format, "schema");
    if (!schema)
      throw ApiError(400, "response_format.json_schema.schema is missing", "response_format",
                     "missing_required_parameter");
    return schema_constraint(call, model, *schema, "response_format");
  }
  throw ApiError(400,
                 fmt::format("response_format.type is \"{}\"; expected \"text\", \"json_object\" "
                             "or \"json_schema\"",
                             type),
                 "response_format", "invalid_value");
}

}  // namespace

Fields generation_fields() {
  constexpr double kMost = 1e9;
  Fields fields = {
      works("max_tokens", "integer", "tokens of the answer at most", 0, kMost),
      works("stop", "string|array", "texts that end the answer and are not part of it"),
      works("stop_token_ids", "array", "tokens that end the answer"),
      works("include_stop_str_in_output", "boolean", "let the answer end with the stop text"),
      works("ignore_eos", "boolean", "go on after the model's end token"),
      works("n", "integer", "answers", 1, 128),
      works("stream", "boolean", "send the answer piece by piece, as server-sent events"),
      works("stream_options", "object",
            "include_usage: a last piece tells the number of tokens; include_obfuscation"),
      works("logit_bias", "object", "numbers that are added to the logits of tokens, -100 to 100"),
      works("allowed_token_ids", "array", "only these tokens"),
      works("bad_words", "string|array", "texts that must not occur"),
      works("dry_sequence_breakers", "string|array", "DRY: repeats do not reach across these"),
      works("samplers", "string|array", "names of samplers in their order, or one preset"),
      works("priority", "integer", "lower comes first when requests compete", -kMost, kMost),
      works("user", "string", "the machine is shared alike between users"),
      works("response_format", "object",
            "type: text, json_object, or json_schema with json_schema.schema; always enforced"),
      works("structured_outputs", "object", "one of json, regex, choice, grammar (vLLM)"),
      works("guided_json", "object|string", "a JSON Schema (vLLM)"),
      works("guided_regex", "string", "a regular expression (vLLM)"),
      works("guided_choice", "array", "texts to choose from (vLLM)"),
      works("guided_grammar", "string", "a GBNF grammar (vLLM)"),
      works("json_schema", "object", "a JSON Schema (llama.cpp)"),
      works("grammar", "string", "a GBNF grammar (llama.cpp)"),
      noted("metadata", "object", "notes of the client"),
      noted("service_tier", "string", "there is one tier"),
      noted("safety_identifier", "string", "notes of the client"),
      noted("prompt_cache_key", "string", "prompts that begin alike are always shared"),
      noted("prompt_cache_options", "object", "prompts that begin alike are always shared"),
      noted("prompt_cache_retention", "string", "prompts that begin alike are always shared"),
      noted("cache_prompt", "boolean", "prompts that begin alike are always shared"),
      noted("prediction", "object", "only about speed"),
      noted("keep_alive", "string|integer", "the server's idle_unload_s decides"),
      refused("skip_special_tokens", "special tokens have no text here", "true"),
      refused("prompt_logprobs", "echo with logprobs gives them", "false|0"),
      refused("cache_salt", "prefixes are shared by all", "\"\""),
      refused("lora", "ask for the model \"name:adapter\"", "[]"),
  };
#define LM_OPTION_NUMBER(name, initial, least, most, doc) \
  fields.push_back(works(#name, "number", doc, least, most));
#define LM_OPTION_INTEGER(name, initial, least, most, doc)                                  \
  fields.push_back(                                                                         \
      works(#name, "integer", doc,                                                          \
            std::string_view(#name) == "top_k"                                              \
                ? -1                                                                        \
                : static_cast<double>(std::string_view(#name) == "seed" ? -9e18 : (least)), \
            std::string_view(#name) == "seed" ? 9e18 : static_cast<double>(most)));
#define LM_OPTION_BOOLEAN(name, initial, doc) fields.push_back(works(#name, "boolean", doc));
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
  for (const Alias& alias : kAliases)
    for (const Field& field : Fields(fields))
      if (field.name == alias.option) {
        fields.push_back(field);
        fields.back().name = alias.name;
        fields.back().doc = "another name of " + field.name;
      }
  return fields;
}

GenerateOptions generation_options(const Json& body, const ServedModel& model) {
  GenerateOptions o;
  o.sampling.temperature = 1.0;
  o.sampling.penalize_prompt = false;
  o.sampling.penalty_window = -1;
  read_numbers(body, o.sampling);
  read_lists(body, model, o.sampling);
  o.stop = texts_of(body, "stop");
  for (const std::string& text : o.stop)
    if (text.empty())
      throw ApiError(400, "stop: an empty text; expected at least one character", "stop",
                     "invalid_value");
  if (const Json* ids = member(body, "stop_token_ids"))
    o.stop_token_ids = ids_of(*ids, "stop_token_ids", model.model().info().vocab_size);
  o.ignore_eos = boolean_or(body, "ignore_eos", false);
  o.priority = integer_or(body, "priority", 0);
  o.fair_key = text_or(body, "user", "");
  return o;
}

std::shared_ptr<const Constraint> schema_constraint(Call& call, const ServedModel& model,
                                                    const Json& schema, const char* param) {
  ConstraintOptions o;
  o.text = schema.is_string() ? schema.get<std::string>() : dump(schema);
  // Small models lose themselves in white space and in the order of members.
  o.any_space = false;
  o.any_order = false;
  return compile(call, model, o, param);
}

std::shared_ptr<const Constraint> constraint_of(Call& call, const ServedModel& model) {
  using Language = ConstraintOptions::Language;
  std::shared_ptr<const Constraint> found;
  const char* first = nullptr;
  const auto take = [&](const char* param, auto&& make) {
    const Json* value = member(call.body(), param);
    if (!value) return;
    auto made = make(*value);
    if (!made) return;
    if (found)
      throw ApiError(400, fmt::format("{} and {}: expected one of them", first, param), param,
                     "invalid_value");
    first = param;
    found = std::move(made);
  };
  const auto text = [&](Language language, const char* param) {
    take(param, [&, language, param](const Json& value) {
      return of_text(call, model, value, language, param);
    });
  };
  const auto schema = [&](const char* param) {
    take(param,
         [&, param](const Json& value) { return schema_constraint(call, model, value, param); });
  };
  take("response_format",
       [&](const Json& value) { return of_response_format(call, model, value); });
  take("structured_outputs", [&](const Json& value) -> std::shared_ptr<const Constraint> {
    constexpr const char* kName = "structured_outputs";
    if (const Json* v = member(value, "json")) return schema_constraint(call, model, *v, kName);
    if (const Json* v = member(value, "regex"))
      return of_text(call, model, *v, Language::regex, kName);
    if (const Json* v = member(value, "choice"))
      return of_text(call, model, *v, Language::choices, kName);
    if (const Json* v = member(value, "grammar"))
      return of_text(call, model, *v, Language::gbnf, kName);
    throw ApiError(400, "structured_outputs: expected json, regex, choice or grammar", kName,
                   "invalid_value");
  });
  schema("guided_json");
  text(Language::regex, "guided_regex");
  text(Language::choices, "guided_choice");
  text(Language::gbnf, "guided_grammar");
  schema("json_schema");
  text(Language::gbnf, "grammar");
  return found;
}

}  // namespace lm::serve
