// The shapes of rows: chat messages (OpenAI), ShareGPT, prompt and completion, Alpaca, questions
// and answers, plain text, tokens.
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/data/example.h"
#include "engine/formats/json_file.h"

namespace lm {

using nlohmann::json;

namespace {

bool is_list(const json& row, const char* key) {
  const auto it = row.find(key);
  return it != row.end() && it->is_array();
}

bool is_text(const json& row, const char* key) {
  const auto it = row.find(key);
  return it != row.end() && it->is_string();
}

std::string text_or(const json& row, const char* key, const std::string& fallback = "") {
  return is_text(row, key) ? row[key].get<std::string>() : fallback;
}

// Content that is a list of parts becomes their texts, one after the other.
json plain_content(const json& content) {
  if (!content.is_array()) return content;
  std::string all;
  for (const json& part : content) {
    LM_CHECK(part.is_object(), ErrorCode::bad_file, "a part of a message is {}; expected an object",
             part.dump());
    const std::string text = text_or(part, "text", text_or(part, "value"));
    all += (all.empty() || text.empty() ? "" : "\n") + text;
  }
  return all;
}

// "tools" may be a list or the text of one.
void read_tools(const json& row, Example* out) {
  const auto it = row.find("tools");
  if (it == row.end() || it->is_null()) return;
  const json tools = it->is_string() ? parse_json(it->get<std::string>(), "\"tools\"") : *it;
  LM_CHECK(tools.is_array(), ErrorCode::bad_file, "\"tools\" is {}; expected a list",
           it->dump().substr(0, 60));
  if (!tools.empty()) out->tools = tools.dump();
}

int8_t train_flag(const json& message) {
  for (const char* key : {"train", "weight"}) {
    const auto it = message.find(key);
    if (it == message.end()) continue;
    if (it->is_boolean()) return it->get<bool>() ? 1 : 0;
    if (it->is_number()) return it->get<double>() != 0.0 ? 1 : 0;
  }
  return -1;
}

// A function call that a ShareGPT turn spells out as JSON.
json call_message(const std::string& text) {
  json call = parse_json(text, "a function call");
  LM_CHECK(call.is_object() && call.contains("name"), ErrorCode::bad_file,
           "a function call is \"{}\"; expected JSON with a name and arguments",
           text.substr(0, 60));
  json list = json::array({{{"type", "function"}, {"function", call}}});
  return {{"role", "assistant"}, {"content", ""}, {"tool_calls", list}};
}

json sharegpt_message(const json& turn) {
  static const std::map<std::string, const char*> roles = {
      {"human", "user"},      {"user", "user"},
      {"gpt", "assistant"},   {"assistant", "assistant"},
      {"model", "assistant"}, {"chatgpt", "assistant"},
      {"system", "system"},   {"observation", "tool"},
      {"tool", "tool"},       {"function_response", "tool"}};
  const std::string from = text_or(turn, "from"), value = text_or(turn, "value");
  if (from == "function_call" || from == "tool_call") return call_message(value);
  const auto it = roles.find(from);
  LM_CHECK(it != roles.end(), ErrorCode::bad_file,
           "a turn is from \"{}\"; expected human, gpt, system, function_call or observation",
           from);
  return {{"role", it->second}, {"content", value}};
}

void add_message(const json& message, json* list, Example* out) {
  LM_CHECK(message.is_object() && is_text(message, "role"), ErrorCode::bad_file,
           "message {} is {}; expected an object with role and content", list->size() + 1,
           message.dump().substr(0, 60));
  json clean = message;
  out->train_on.push_back(train_flag(message));
  clean.erase("train");
  clean.erase("weight");
  clean["content"] = plain_content(message.value("content", json("")));
  if (clean["content"].is_null()) clean["content"] = "";
  list->push_back(std::move(clean));
}

void finish(json list, const json& row, Example* out) {
  LM_CHECK(!list.empty(), ErrorCode::bad_file, "the conversation is empty");
  read_tools(row, out);
  out->messages = list.dump();
}

bool read_messages(const json& row, Example* out) {
  const char* key = is_list(row, "messages") ? "messages" : "conversations";
  if (!is_list(row, key) || row[key].empty() || !row[key][0].is_object() ||
      !row[key][0].contains("role"))
    return false;
  json list = json::array();
  for (const json& message : row[key]) add_message(message, &list, out);
  finish(std::move(list), row, out);
  return true;
}

bool read_sharegpt(const json& row, Example* out) {
  const char* key = is_list(row, "conversations") ? "conversations" : "conversation";
  if (!is_list(row, key)) return false;
  json list = json::array();
  if (is_text(row, "system") && !text_or(row, "system").empty())
    add_message({{"role", "system"}, {"content", row["system"]}}, &list, out);
  for (const json& turn : row[key]) {
    LM_CHECK(turn.is_object(), ErrorCode::bad_file, "a turn is {}; expected an object",
             turn.dump().substr(0, 60));
    json message = sharegpt_message(turn);
    if (turn.contains("train")) message["train"] = turn["train"];
    if (turn.contains("weight")) message["weight"] = turn["weight"];
    add_message(message, &list, out);
  }
  finish(std::move(list), row, out);
  return true;
}

bool read_completion(const json& row, Example* out) {
  const char* answer = row.contains("completion") ? "completion" : "response";
  if (is_list(row, "prompt") && is_list(row, answer)) {  // two parts of one conversation
    json list = json::array();
    for (const json& message : row["prompt"]) {
      add_message(message, &list, out);
      out->train_on.back() = 0;
    }
    for (const json& message : row[answer]) add_message(message, &list, out);
    finish(std::move(list), row, out);
    return true;
  }
  if (!is_text(row, "prompt") || !is_text(row, answer)) return false;
  out->prompt = text_or(row, "prompt");
  out->completion = text_or(row, answer);
  return true;
}

bool read_pair(const json& row, const char* question, const char* more, const char* answer,
               Example* out) {
  if (!is_text(row, question) || !is_text(row, answer)) return false;
  std::string user = text_or(row, question);
  if (const std::string input = text_or(row, more); !input.empty()) user += "\n\n" + input;
  json list = json::array();
  if (const std::string system = text_or(row, "system"); !system.empty())
    add_message({{"role", "system"}, {"content", system}}, &list, out);
  if (is_list(row, "history"))
    for (const json& turn : row["history"]) {
      LM_CHECK(turn.is_array() && turn.size() == 2, ErrorCode::bad_file,
               "an element of \"history\" is {}; expected a question and an answer", turn.dump());
      add_message({{"role", "user"}, {"content", turn[0]}}, &list, out);
      add_message({{"role", "assistant"}, {"content", turn[1]}}, &list, out);
    }
  add_message({{"role", "user"}, {"content", user}}, &list, out);
  add_message({{"role", "assistant"}, {"content", row[answer]}}, &list, out);
  finish(std::move(list), row, out);
  return true;
}

bool read_alpaca(const json& row, Example* out) {
  return read_pair(row, "instruction", "input", "output", out);
}

bool read_question(const json& row, Example* out) {
  return read_pair(row, "question", "context", "answer", out);
}

bool read_text(const json& row, Example* out) {
  for (const char* key : {"text", "content", "story"})
    if (is_text(row, key)) {
      out->text = row[key].get<std::string>();
      return true;
    }
  return false;
}

// Tokens made elsewhere, as transformers and TRL keep them: labels are the ids again, or -100 where
// nothing is trained; masks have 1 where something is.
bool read_tokens(const json& row, Example* out) {
  if (!is_list(row, "input_ids")) return false;
  out->ids = row["input_ids"].get<std::vector<int32_t>>();
  out->ids_trained.assign(out->ids.size(), 1);
  for (const char* key : {"labels", "completion_mask", "assistant_masks"}) {
    if (!row.contains(key)) continue;
    const auto marks = row[key].get<std::vector<int32_t>>();
    LM_CHECK(marks.size() == out->ids.size(), ErrorCode::bad_file,
             "{} {} for {} ids; expected as many", marks.size(), key, out->ids.size());
    const bool labels = std::string_view(key) == "labels";
    for (size_t i = 0; i < marks.size(); ++i) {
      LM_CHECK(!labels || marks[i] == -100 || marks[i] == out->ids[i], ErrorCode::bad_file,
               "label {} is {}; expected the id {} or -100", i, marks[i], out->ids[i]);
      out->ids_trained[i] = labels ? marks[i] != -100 : marks[i] != 0;
    }
    break;
  }
  return true;
}

template <bool (*Read)(const json&, Example*)>
bool parsed(std::string_view text, Example* out) {
  const json row = parse_json(text, "row");
  return row.is_object() && Read(row, out);
}

}  // namespace

std::string Example::where() const {
  return line > 0 ? fmt::format("{}:{}", file, line) : file;
}

const std::vector<DataFormat>& data_formats() {
  static const std::vector<DataFormat> list = {
      {"messages", "messages: [{role, content}]", parsed<read_messages>},
      {"sharegpt", "conversations: [{from, value}]", parsed<read_sharegpt>},
      {"prompt_completion", "prompt, completion", parsed<read_completion>},
      {"alpaca", "instruction, input, output", parsed<read_alpaca>},
      {"question_answer", "question, answer", parsed<read_question>},
      {"text", "text", parsed<read_text>},
      {"tokens", "input_ids, labels", parsed<read_tokens>},
  };
  return list;
}

const DataFormat& detect_format(std::string_view row, const std::string& where) {
  std::string known;
  for (const DataFormat& format : data_formats()) {
    Example probe;
    if (format.read(row, &probe)) return format;
    known += fmt::format("{}{} ({})", known.empty() ? "" : "; ", format.name, format.fields);
  }
  raise(ErrorCode::bad_file, "{}: the row {} has no known shape; expected one of {}", where,
        row.substr(0, 80), known);
}

}  // namespace lm
