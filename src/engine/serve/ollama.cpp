#include "engine/serve/ollama.h"

#include <fmt/chrono.h>
#include <openssl/sha.h>

#include <nlohmann/json.hpp>

#include "engine/serve/generation_fields.h"

namespace lm::serve {
namespace {

// Options about how Ollama runs models; here the server's own decide.
constexpr const char* kAboutMachine[] = {"num_keep", "num_batch",  "num_gpu",  "main_gpu",
                                         "use_mmap", "use_mlock",  "low_vram", "num_thread",
                                         "numa",     "vocab_only", "f16_kv"};
constexpr const char* kSampling[] = {
    "temperature",       "top_k",          "top_p",         "min_p",
    "typical_p",         "repeat_penalty", "repeat_last_n", "presence_penalty",
    "frequency_penalty", "seed",           "stop",          "mirostat",
    "mirostat_tau",      "mirostat_eta"};

ApiError wrong(const std::string& what, const char* param) {
  return ApiError(400, what, param, "invalid_value");
}

template <typename List>
bool listed(const List& list, const std::string& name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// Ollama's defaults, then what the request says.
Json sampling_of(const Json& options) {
  Json out = {{"temperature", 0.8},    {"top_k", 40},         {"top_p", 0.9},
              {"repeat_penalty", 1.1}, {"repeat_last_n", 64}, {"penalize_prompt", true}};
  for (const auto& [name, value] : options.items()) {
    if (listed(kAboutMachine, name) || name == "num_ctx" || name == "num_predict") continue;
    if (!listed(kSampling, name))
      throw wrong(fmt::format("options.{} is not known here", name), "options");
    if (!value.is_null()) out[name] = value;
  }
  static const Fields known = generation_fields();
  check_fields(known, out, false);
  return out;
}

}  // namespace

Fields ollama_fields() {
  return {
      required("model", "string", "name of a served model"),
      works("stream", "boolean", "send the answer in lines of JSON; true"),
      works("format", "string|object", "\"json\", or a JSON Schema that the answer satisfies"),
      works("options", "object",
            "num_predict, temperature, top_k, top_p, min_p, typical_p, repeat_penalty, "
            "repeat_last_n, presence_penalty, frequency_penalty, seed, stop, mirostat*; num_ctx up "
            "to the model's context"),
      works("think", "boolean|string", "for models that can think or not"),
      works("logprobs", "boolean", "return log-probabilities of the tokens"),
      works("top_logprobs", "integer", "and of this many alternatives, with logprobs", 0, 20),
      noted("keep_alive", "string|number", "the server's idle_unload decides"),
  };
}

void read_ollama_options(Call& call, ChatRequest& request) {
  const Json& body = call.body();
  const Json* given = member(body, "options");
  const Json options = given ? *given : Json::object();
  request.options = generation_options(sampling_of(options), request.model);
  const int64_t context = integer_or(options, "num_ctx", 0);
  if (context > request.model.context)
    throw wrong(fmt::format("options.num_ctx is {}; this model's context is {} tokens", context,
                            request.model.context),
                "options");
  if (context > 0) request.model.context = context;
  const int64_t most = integer_or(options, "num_predict", -1);
  request.options.max_tokens = most < 0 ? request.model.context : most;
  if (const Json* format = member(body, "format")) {
    const bool is_text = format->is_string();
    if (is_text && format->get<std::string>() != "json" && !format->get<std::string>().empty())
      throw wrong(R"(format: expected "json" or a JSON Schema)", "format");
    if (!is_text || !format->get<std::string>().empty())
      request.options.constraint = schema_constraint(
          call, request.model, is_text ? Json{{"type", "object"}} : *format, "format");
  }
  request.variables = std::make_shared<Json>(Json::object());
  if (const Json* think = member(body, "think")) {
    (*request.variables)["enable_thinking"] = !think->is_boolean() || think->get<bool>();
    if (think->is_string()) (*request.variables)["reasoning_effort"] = *think;
  }
  if (boolean_or(body, "logprobs", false))
    request.options.logprobs = integer_or(body, "top_logprobs", 0);
}

std::shared_ptr<Json> ollama_messages(const Json& messages) {
  auto out = std::make_shared<Json>(Json::array());
  for (const Json& message : messages) {
    Json made = message;
    if (!message.is_object()) throw wrong("messages: each must be an object", "messages");
    if (const Json* images = member(message, "images")) {
      Json parts = Json::array();
      for (const Json& image : *images)
        parts.push_back({{"type", "image_url"},
                         {"image_url", "data:image/png;base64," +
                                           (image.is_string() ? image.get<std::string>() : "")}});
      parts.push_back({{"type", "text"}, {"text", text_or(message, "content", "")}});
      made["content"] = std::move(parts);
      made.erase("images");
    }
    if (const Json* thought = member(message, "thinking")) {
      made["reasoning_content"] = *thought;
      made.erase("thinking");
    }
    out->push_back(std::move(made));
  }
  return out;
}

std::string iso_time(int64_t unix_seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(static_cast<std::time_t>(unix_seconds)));
}

Json ollama_end(const ChatUsage& usage, const ChatAnswer& answer,
                std::chrono::steady_clock::time_point start) {
  const auto ns = [](double seconds) { return static_cast<int64_t>(seconds * 1e9); };
  const std::chrono::duration<double> total = std::chrono::steady_clock::now() - start;
  return {{"done", true},
          {"done_reason", answer.finish_reason == "length" ? "length" : "stop"},
          {"total_duration", ns(total.count())},
          {"load_duration", 0},
          {"prompt_eval_count", usage.prompt},
          {"prompt_eval_duration", ns(answer.raw.stats.prompt_seconds)},
          {"eval_count", usage.completion},
          {"eval_duration", ns(answer.raw.stats.decode_seconds)}};
}

Json ollama_model(const ModelRow& row) {
  // Ollama's clients want a hash; this one is of the name, for the files are not read for it.
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(row.name.data()), row.name.size(), hash);
  std::string digest;
  for (const unsigned char byte : hash) digest += fmt::format("{:02x}", byte);
  Json out = {{"name", row.name},
              {"model", row.name},
              {"modified_at", iso_time(row.created)},
              {"size", row.model ? row.model->info().file_bytes : 0},
              {"digest", digest},
              {"details", Json::object()}};
  if (row.model) {
    const ModelInfo& info = row.model->info();
    out["details"] = {
        {"parent_model", row.parent},
        {"format", info.format},
        {"family", info.architecture},
        {"families", Json::array({info.architecture})},
        {"parameter_size", fmt::format("{:.1f}M", static_cast<double>(info.n_params) / 1e6)},
        {"quantization_level", info.dtype}};
  }
  return out;
}

}  // namespace lm::serve
