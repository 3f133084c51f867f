// The list of candidates below the typed line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lm {

struct MenuItem {
  std::string text;   // what replaces the word
  std::string label;  // what the list shows
  std::string doc;    // one line, may be empty
};

// Rows of at most `columns` - 1 cells for one page of at most `max_rows` rows. With docs and room,
// one item per row; otherwise labels in columns, read downwards. `page` wraps around.
std::vector<std::string> layout_menu(const std::vector<MenuItem>& items, int columns,
                                     size_t max_rows, size_t page, bool colors);

// What all items' texts start with, in whole characters.
std::string common_prefix(const std::vector<MenuItem>& items);

}  // namespace lm
