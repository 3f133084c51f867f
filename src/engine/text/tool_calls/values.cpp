#include "engine/text/tool_calls/values.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/text/tool_calls/schema.h"
#include "engine/text/unicode.h"

namespace lm::tool_calls {

using json = nlohmann::ordered_json;

namespace {

constexpr int kMostDepth = 100;
constexpr std::string_view kGemmaQuote = "<|\"|>";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '$';
}

// Reads Python's literals, or Gemma's, which are the same but for strings and keys.
class Literals {
 public:
  Literals(std::string_view text, bool gemma) : text_(text), gemma_(gemma) {}

  std::optional<json> members(char close, char equals) {
    json out = json::object();
    for (space(); peek() != close; space()) {
      std::string name;
      if (!key(&name)) return std::nullopt;
      space();
      if (!take(equals)) return std::nullopt;
      auto value = this->value(0);
      if (!value) return std::nullopt;
      out[name] = std::move(*value);
      space();
      if (peek() == close) break;
      if (!take(',')) return std::nullopt;
    }
    return out;
  }
  bool at_end() {
    space();
    return at_ == text_.size();
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : 0; }
  void space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') ++at_;
  }
  bool key(std::string* name) {
    if (quote_size() > 0) return string(name);
    const size_t begin = at_;
    // Gemma's keys are bare; anything but the colon belongs to them.
    while (at_ < text_.size() && (gemma_ ? peek() != ':' && peek() != '}' : is_word(peek()))) ++at_;
    *name = text_.substr(begin, at_ - begin);
    return !name->empty();
  }
  size_t quote_size() const {
    if (gemma_) return text_.substr(at_).starts_with(kGemmaQuote) ? kGemmaQuote.size() : 0;
    return peek() == '"' || peek() == '\'' ? 1 : 0;
  }
  bool string(std::string* out) {
    if (gemma_) {
      const size_t begin = at_ + kGemmaQuote.size(), end = text_.find(kGemmaQuote, begin);
      if (end == text_.npos) return false;
      *out = text_.substr(begin, end - begin);
      at_ = end + kGemmaQuote.size();
      return true;
    }
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] != '\\') {
        *out += text_[at_++];
        continue;
      }
      if (++at_ >= text_.size()) return false;
      escape(out);
    }
    return take(quote);
  }
  void escape(std::string* out) {
    const char c = text_[at_++];
    switch (c) {
      case 'n':
        *out += '\n';
        return;
      case 't':
        *out += '\t';
        return;
      case 'r':
        *out += '\r';
        return;
      case 'x':
        return number(out, 2);
      case 'u':
        return number(out, 4);
      case '\n':
        return;
      default:
        if (c != '\\' && c != '"' && c != '\'' && c != '/') *out += '\\';
        *out += c;
    }
  }
  void number(std::string* out, size_t digits) {
    uint32_t value = 0;
    const std::string_view hex = text_.substr(at_, digits);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
    if (error != std::errc() || end != hex.data() + digits || (value >= 0xD800 && value < 0xE000)) {
      append_utf8(*out, 0xFFFD);
    } else {
      append_utf8(*out, value);
    }
    at_ += static_cast<size_t>(end - hex.data());
  }

  std::optional<json> value(int depth) {
    space();
    if (depth > kMostDepth) return std::nullopt;
    if (quote_size() > 0) {
      std::string text;
      if (!string(&text)) return std::nullopt;
      return json(std::move(text));
    }
    if (take('[')) return list(']', depth);
    if (take('(')) return list(')', depth);
    if (take('{')) return dictionary(depth);
    return scalar();
  }
  std::optional<json> list(char close, int depth) {
    json out = json::array();
    for (space(); !take(close); space()) {
      auto member = value(depth + 1);
      if (!member) return std::nullopt;
      out.push_back(std::move(*member));
      space();
      if (peek() != close && !take(',')) return std::nullopt;
    }
    return out;
  }
  std::optional<json> dictionary(int depth) {
    json out = json::object();
    for (space(); !take('}'); space()) {
      std::string name;
      if (!key(&name)) return std::nullopt;
      space();
      if (!take(':')) return std::nullopt;
      auto member = value(depth + 1);
      if (!member) return std::nullopt;
      out[name] = std::move(*member);
      space();
      if (peek() != '}' && !take(',')) return std::nullopt;
    }
    return out;
  }
  std::optional<json> scalar() {
    const size_t begin = at_;
    while (is_word(peek()) || peek() == '+') ++at_;
    const std::string word(text_.substr(begin, at_ - begin));
    if (word == "True" || word == "true") return json(true);
    if (word == "False" || word == "false") return json(false);
    if (word == "None" || word == "null") return json(nullptr);
    json value = json::parse(word, nullptr, false);
    if (!value.is_number()) return std::nullopt;
    return value;
  }

  std::string_view text_;
  const bool gemma_;
  size_t at_ = 0;
};

}  // namespace

size_t closing_bracket(std::string_view text, size_t begin) {
  int depth = 0;
  char quote = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if ((c == ')' || c == ']' || c == '}') && --depth == 0) {
      return i + 1;
    }
  }
  return text.npos;
}

size_t closing_gemma_bracket(std::string_view text, size_t begin) {
  int depth = 0;
  for (size_t i = begin; i < text.size();) {
    if (text.substr(i).starts_with(kGemmaQuote)) {
      i = text.find(kGemmaQuote, i + kGemmaQuote.size());
      if (i == text.npos) return i;
      i += kGemmaQuote.size();
      continue;
    }
    depth += (text[i] == '{' || text[i] == '[') - (text[i] == '}' || text[i] == ']');
    ++i;
    if (depth == 0) return i;
  }
  return text.npos;
}

std::optional<std::string> python_arguments(std::string_view text) {
  Literals reader(text, false);
  const auto members = reader.members('\0', '=');
  if (!members || !reader.at_end()) return std::nullopt;
  return members->dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<std::string> gemma_arguments(std::string_view text) {
  Literals reader(text, true);
  if (!reader.take('{')) return std::nullopt;
  const auto members = reader.members('}', ':');
  if (!members || !reader.take('}') || !reader.at_end()) return std::nullopt;
  return members->dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string tagged_argument(std::string_view value, std::string_view schema,
                            const std::string& name) {
  const json tool = json::parse(schema, nullptr, false);
  const bool known = tool.is_object() && tool.contains("properties") &&
                     tool["properties"].is_object() && tool["properties"].contains(name);
  const bool text = known && is_string(tool["properties"][name]);
  if (!text && json::accept(value)) return std::string(value);
  if (!text && (value == "True" || value == "False")) return value == "True" ? "true" : "false";
  return json(std::string(value)).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace lm::tool_calls
