#include "engine/serve/logprobs.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/text/unicode.h"

namespace lm::serve {
namespace {

// What stands for a token in a text; control tokens by their names.
std::string token_string(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes =
      tokenizer.is_special(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id);
  return replace_invalid_utf8(bytes);
}

// JSON has no infinities.
double finite(double logprob) {
  return std::isfinite(logprob) ? logprob : -9999.0;
}

Json entry(const Tokenizer& tokenizer, const TokenLogprob& t) {
  Json bytes = Json::array();
  const std::string_view raw =
      tokenizer.is_special(t.id) ? tokenizer.token_text(t.id) : tokenizer.token_bytes(t.id);
  for (const char c : raw) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token_string(tokenizer, t.id)},
          {"logprob", finite(t.logprob)},
          {"bytes", std::move(bytes)}};
}

}  // namespace

size_t n_characters(std::string_view text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

Json chat_logprobs(const Tokenizer& tokenizer, std::span<const StepLogprobs> steps) {
  Json list = Json::array();
  for (const StepLogprobs& step : steps) {
    Json token = entry(tokenizer, step.chosen), top = Json::array();
    for (const TokenLogprob& t : step.top) top.push_back(entry(tokenizer, t));
    token["top_logprobs"] = std::move(top);
    list.push_back(std::move(token));
  }
  return list;
}

LegacyLogprobs::LegacyLogprobs(const Tokenizer& tokenizer, int64_t top, size_t offset)
    : tokenizer_(tokenizer),
      top_(top),
      offset_(offset),
      tokens_(std::make_unique<Json>(Json::array())),
      logprobs_(std::make_unique<Json>(Json::array())),
      tops_(std::make_unique<Json>(Json::array())),
      offsets_(std::make_unique<Json>(Json::array())) {}

void LegacyLogprobs::begin_token(int32_t id) {
  const std::string token = token_string(tokenizer_, id);
  offsets_->push_back(offset_);
  offset_ += tokenizer_.is_special(id) ? 0 : n_characters(token);
  tokens_->push_back(token);
}

void LegacyLogprobs::add_first(int32_t id) {
  begin_token(id);
  logprobs_->push_back(nullptr);
  tops_->push_back(nullptr);
}

void LegacyLogprobs::add(const StepLogprobs& step) {
  begin_token(step.chosen.id);
  logprobs_->push_back(finite(step.chosen.logprob));
  Json top = Json::object();
  for (const TokenLogprob& t : step.top) {
    // Two tokens may have one text; the likelier came first.
    const std::string token = token_string(tokenizer_, t.id);
    if (!top.contains(token)) top[token] = finite(t.logprob);
  }
  // The chosen one is always among them.
  const std::string token = token_string(tokenizer_, step.chosen.id);
  if (!top.contains(token)) top[token] = finite(step.chosen.logprob);
  tops_->push_back(top_ > 0 ? std::move(top) : Json(nullptr));
}

Json LegacyLogprobs::take() {
  Json all = {{"tokens", std::move(*tokens_)},
              {"token_logprobs", std::move(*logprobs_)},
              {"top_logprobs", std::move(*tops_)},
              {"text_offset", std::move(*offsets_)}};
  for (auto* list : {&tokens_, &logprobs_, &tops_, &offsets_}) **list = Json::array();
  return all;
}

}  // namespace lm::serve
