// Normalizers: steps that rewrite a stretch of text before it is cut into words. Names: Hugging
// Face tokenizers.
#pragma once

#include <functional>
#include <string>

#include "engine/text/unicode.h"

namespace lm {

using Normalizer = std::function<void(std::string&)>;

Normalizer unicode_form(NormalForm form);
Normalizer lowercase();
Normalizer prepend(const std::string& prefix);  // does nothing to an empty text
Normalizer replace_string(const std::string& what, const std::string& with);
Normalizer replace_regex(const std::string& pattern, const std::string& with);  // `with` is literal
Normalizer strip_whitespace(bool left, bool right);
Normalizer strip_accents();  // drops nonspacing marks

}  // namespace lm
