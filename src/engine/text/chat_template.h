// Chat templates: the part of the Jinja language that published models use, rendered as
// transformers renders it (trim_blocks, lstrip_blocks, loop controls, generation blocks; tojson
// without HTML or ASCII escapes).
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lm {

namespace jinja {
struct Template;
}

struct ChatInput {
  std::string messages = "[]";        // JSON list of {role, content, ...}
  std::string tools;                  // JSON list of tool definitions; empty: none
  bool add_generation_prompt = true;  // end with the beginning of an assistant's turn
  std::string bos_token, eos_token;
  std::string
      extra;  // JSON object of further variables (enable_thinking, documents ...); empty: none
  std::optional<std::time_t> now;  // what strftime_now shows, as UTC; unset: the local time
};

struct RenderedChat {
  std::string text;
  // Byte ranges [begin, end) of `text` inside {% generation %} blocks: what the assistant says, for
  // training.
  std::vector<std::pair<size_t, size_t>> generated;
};

// Immutable and thread-safe.
class ChatTemplate {
 public:
  // Throws unsupported with the template's line for syntax that is wrong or not known.
  explicit ChatTemplate(std::string_view source);

  // Throws bad_option with the template's line when the template refuses the input
  // (raise_exception), fails on it, or exceeds the limits on steps, nesting or output; bad_option
  // for malformed JSON.
  std::string render(const ChatInput& input) const { return render_spans(input).text; }
  RenderedChat render_spans(const ChatInput& input) const;
  // Renders with the variables of one JSON object only.
  std::string render_json(std::string_view variables,
                          std::optional<std::time_t> now = std::nullopt) const;

  const std::string& source() const { return source_; }
  // Whether the template looks at a variable of this name ("tools", "enable_thinking").
  bool mentions(std::string_view name) const;

 private:
  std::string source_;
  std::shared_ptr<const jinja::Template> template_;
};

}  // namespace lm
