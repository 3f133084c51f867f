// UTF-8 as a terminal sees it: code points, cells and the clusters a cursor steps over. Pure
// functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lm {

// Terminal cells of one code point: 0, 1 or 2 (CJK and emoji 2; combining marks, joiners and
// variation selectors 0).
int char_width(uint32_t code);
// Cells of a text without line breaks. Escape sequences (CSI ... letter, OSC ... BEL) count as
// nothing.
int text_width(std::string_view text);

// Byte offset after / before the cluster (letter with its marks, joined emoji, flag) at `at`.
size_t next_cluster(std::string_view text, size_t at);
size_t previous_cluster(std::string_view text, size_t at);

// Length of the escape sequence that starts at `at`; 0 when there is none.
size_t escape_length(std::string_view text, size_t at);

// The text cut to at most `cells`, with an ellipsis when something was cut. Escape sequences are
// dropped.
std::string clip(std::string_view text, int cells);

// Makes any bytes safe to edit: valid UTF-8, "\n" line ends, no control characters but tab and
// newline.
std::string sanitize_input(std::string_view bytes);

}  // namespace lm
