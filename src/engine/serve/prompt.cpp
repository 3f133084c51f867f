#include "engine/serve/prompt.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/error.h"
#include "engine/formats/image.h"
#include "engine/serve/api_error.h"
#include "engine/serve/field.h"
#include "engine/text/base64.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {
namespace {

ApiError wrong(const std::string& what, const std::string& param = "messages",
               const char* code = "invalid_value") {
  return ApiError(400, what, param, code);
}

struct SeenImages {
  std::vector<float> rows;
  std::vector<std::string> prompts;  // what stands for each in the text
};

// The bytes of a picture out of a data URL: the server fetches nothing.
std::string image_bytes(const std::string& url) {
  const size_t comma = url.find(',');
  if (!url.starts_with("data:image/") || comma == std::string::npos ||
      url.substr(0, comma).find(";base64") == std::string::npos)
    throw wrong(
        "image_url: only data:image/...;base64, URLs are taken; this server fetches no "
        "other addresses");
  std::string bytes;
  if (!append_base64(bytes, std::string_view(url).substr(comma + 1)))
    throw wrong("image_url: the base64 text is malformed");
  return bytes;
}

void see_image(ServedModel& model, const std::string& url, SeenImages& seen) {
  const std::string bytes = image_bytes(url);
  const std::lock_guard lock(model.loaded->embed_mutex);
  try {
    const PreparedImage image = prepare_image(
        model.model(), decode_image(std::as_bytes(std::span(bytes)), "the image of a message"));
    if (!model.loaded->images)
      model.loaded->images = std::make_unique<ImageEncoder>(model.loaded->model);
    seen.prompts.push_back(image_prompt(model.model(), image));
    for (const auto& view : image.views) {
      const auto rows = model.loaded->images->rows(view);
      seen.rows.insert(seen.rows.end(), rows.begin(), rows.end());
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    throw wrong(fmt::format("messages: the image: {}", error.message()));
  }
}

std::string image_url(const Json& part) {
  const Json* url = member(part, "image_url");
  if (url && url->is_string()) return url->get<std::string>();
  if (url && url->is_object()) return text_or(*url, "url", "");
  throw wrong("messages: an image_url part has no image_url.url");
}

// Contents of text alone become one text: not every template takes lists.
Json content_of(ServedModel& model, const Json& content, SeenImages& seen) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array()) throw wrong("messages: content must be a string or a list of parts");
  std::string whole;
  Json parts = Json::array();
  bool images = false;
  for (const Json& part : content) {
    const std::string type = part.is_object() ? text_or(part, "type", "") : "";
    if (type == "text" || type == "input_text" || type == "output_text" || type == "refusal") {
      const std::string text = text_or(part, type == "refusal" ? "refusal" : "text", "");
      whole += text;
      parts.push_back({{"type", "text"}, {"text", text}});
    } else if (type == "image_url") {
      see_image(model, image_url(part), seen);
      parts.push_back({{"type", "image"}});
      images = true;
    } else {
      throw wrong(
          fmt::format("messages: a content part of type \"{}\"; expected text or image_url", type));
    }
  }
  return images ? parts : Json(whole);
}

// What is no JSON, as models sometimes write, must not end the conversation.
Json tool_calls_of(const Json& calls) {
  if (!calls.is_array()) throw wrong("messages: tool_calls must be a list");
  Json out = calls;
  for (Json& call : out) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
      throw wrong("messages: a tool call has no function");
    Json& arguments = call["function"]["arguments"];
    if (!arguments.is_string()) continue;
    const auto text = arguments.get<std::string>();
    const Json parsed = text.empty() ? Json::object() : Json::parse(text, nullptr, false);
    if (parsed.is_object())
      arguments = parsed;
    else
      arguments = {{"arguments", text}};
  }
  return out;
}

Json message_of(ServedModel& model, const Json& message, const ChatTemplate& chat,
                SeenImages& seen) {
  static const std::set<std::string> kRoles = {"system",    "developer", "user",
                                               "assistant", "tool",      "function"};
  if (!message.is_object()) throw wrong("messages: each must be an object");
  std::string role = text_or(message, "role", "");
  if (!kRoles.count(role))
    throw wrong(
        fmt::format("messages: the role \"{}\"; expected system, developer, user, "
                    "assistant or tool",
                    role));
  if (role == "developer" && chat.source().find("developer") == std::string::npos) role = "system";
  if (role == "function") role = "tool";
  Json out = message;
  out["role"] = role;
  const Json* content = member(message, "content");
  out["content"] = content ? content_of(model, *content, seen) : Json("");
  if (const Json* calls = member(message, "tool_calls")) out["tool_calls"] = tool_calls_of(*calls);
  if (const Json* thought = member(message, "reasoning");
      thought && !out.contains("reasoning_content"))
    out["reasoning_content"] = *thought;
  for (auto it = out.begin(); it != out.end();)  // templates look at what is there, not at nulls
    it = it.value().is_null() ? out.erase(it) : std::next(it);
  return out;
}

// Puts what the model sees of pictures in the place of their marks.
std::string with_images(const ServedModel& model, const std::string& text, const SeenImages& seen) {
  if (seen.prompts.empty()) return text;
  const std::string mark = image_token_text(model.model());
  std::string out;
  size_t at = 0, n = 0;
  for (size_t found; (found = text.find(mark, at)) != std::string::npos; at = found + mark.size()) {
    out += text.substr(at, found - at);
    out += n < seen.prompts.size() ? seen.prompts[n] : mark;
    ++n;
  }
  if (n != seen.prompts.size())
    throw wrong(fmt::format("messages: the chat template wrote {} {} times for {} images", mark, n,
                            seen.prompts.size()));
  return out + text.substr(at);
}

}  // namespace

Prompt chat_prompt(ServedModel& model, const Json& messages, const ChatPromptOptions& options) {
  if (!messages.is_array() || messages.empty())
    throw wrong("messages: expected a list of at least one message");
  std::unique_ptr<ChatTemplate> own;
  const ChatTemplate* chat = model.model().chat_template();
  try {
    if (!options.chat_template.empty()) {
      own = std::make_unique<ChatTemplate>(options.chat_template);
      chat = own.get();
    }
  } catch (const Error& error) {
    throw wrong("chat_template: " + error.message(), "chat_template");
  }
  if (!chat)
    throw wrong(fmt::format("the model \"{}\" has no chat template; /v1/completions continues "
                            "plain text",
                            model.name),
                "model", "unsupported_model");
  SeenImages seen;
  Json list = Json::array();
  for (const Json& message : messages) list.push_back(message_of(model, message, *chat, seen));

  ChatInput input;
  std::string tail;
  if (options.continue_final_message) {
    if (!list.back()["content"].is_string())
      throw wrong("continue_final_message: the last message has no text");
    tail = list.back()["content"].get<std::string>();
  }
  Prompt prompt;
  prompt.format = own ? tool_format_of(*own, model.tokenizer()) : model.loaded->tool_format();
  Json variables = options.variables ? *options.variables : Json::object();
  try {
    const ToolChat told = tool_messages(prompt.format, dump(list),
                                        options.tools ? dump(*options.tools) : std::string());
    input.messages = told.messages;
    input.tools = told.tools;
    if (!told.extra.empty()) variables.update(Json::parse(told.extra));
  } catch (const Error& error) {
    throw wrong(error.message(), "tools");
  }
  input.add_generation_prompt = options.add_generation_prompt && !options.continue_final_message;
  if (!variables.empty()) input.extra = dump(variables);
  const Tokenizer& tokenizer = model.tokenizer();
  if (tokenizer.bos() >= 0) input.bos_token = tokenizer.token_text(tokenizer.bos());
  if (!tokenizer.eos().empty()) input.eos_token = tokenizer.token_text(tokenizer.eos().front());
  try {
    prompt.text = chat->render(input);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    throw wrong(error.message());
  }
  if (options.continue_final_message) {
    const size_t end = prompt.text.rfind(tail);
    if (end == std::string::npos) throw wrong("continue_final_message: the template changed it");
    prompt.text.resize(end + tail.size());
  }
  prompt.text = with_images(model, prompt.text, seen);
  prompt.in_reasoning = starts_in_reasoning(prompt.format, prompt.text);
  prompt.ids = tokenizer.encode(prompt.text, {false, true});
  prompt.image_rows = std::move(seen.rows);
  if (prompt.ids.empty()) throw wrong("messages: the chat template made an empty prompt of them");
  return prompt;
}

void check_length(const ServedModel& model, size_t n_prompt, const char* param) {
  if (static_cast<int64_t>(n_prompt) < model.context) return;
  throw ApiError(400,
                 fmt::format("the prompt has {} tokens; this model's context is {} tokens, prompt "
                             "and answer together",
                             n_prompt, model.context),
                 param, "context_length_exceeded");
}

}  // namespace lm::serve
