#include "engine/text/utf8_stream.h"

#include <algorithm>

#include "engine/text/unicode.h"

namespace lm {

Utf8Stream::Utf8Stream(std::shared_ptr<const Tokenizer> tokenizer, const Utf8StreamOptions& options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      strip_(options.at_text_start && tokenizer_->strips_leading_space()) {}

std::string Utf8Stream::push(int32_t id) {
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (options_.skip_special && tokenizer_->is_special(id)) {
    if (std::find(options_.show.begin(), options_.show.end(), id) == options_.show.end()) return {};
    if (bytes.empty()) bytes = tokenizer_->token_text(id);
  }
  if (strip_ && !bytes.empty()) {
    bytes = tokenizer_->without_leading_space(bytes);
    strip_ = false;
  }
  pending_ += bytes;
  size_t whole = complete_utf8_prefix(pending_);
  if (whole > 0 && tokenizer_->strips_trailing_space() && pending_[whole - 1] == ' ') --whole;
  std::string out = pending_.substr(0, whole);
  pending_.erase(0, whole);
  return is_valid_utf8(out) ? out : replace_invalid_utf8(out);
}

std::string Utf8Stream::finish() {
  if (tokenizer_->strips_trailing_space() && pending_.ends_with(' ')) pending_.pop_back();
  std::string out = replace_invalid_utf8(pending_);
  pending_.clear();
  strip_ = options_.at_text_start && tokenizer_->strips_leading_space();
  return out;
}

}  // namespace lm
