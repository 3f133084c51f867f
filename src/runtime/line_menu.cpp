#include "runtime/line_menu.h"

#include <algorithm>

#include "runtime/char_width.h"

namespace lm {
namespace {

std::string pad(std::string text, int cells) {
  const int have = text_width(text);
  if (have < cells) text.append(static_cast<size_t>(cells - have), ' ');
  return text;
}

int widest(const std::vector<MenuItem>& items) {
  int width = 0;
  for (const MenuItem& item : items) width = std::max(width, text_width(item.label));
  return width;
}

std::vector<std::string> with_docs(const std::vector<MenuItem>& items, int cells, bool colors) {
  const int label_cells = std::min(widest(items), std::max(cells / 2, 8));
  std::vector<std::string> rows;
  for (const MenuItem& item : items) {
    std::string row = pad(clip(item.label, label_cells), label_cells);
    const int left = cells - label_cells - 2;
    if (!item.doc.empty() && left > 4) {
      row += colors ? "  \x1b[90m" : "  ";
      row += clip(item.doc, left);
      if (colors) row += "\x1b[0m";
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> in_columns(const std::vector<MenuItem>& items, size_t first, size_t count,
                                    int cells) {
  const std::vector<MenuItem> shown(items.begin() + static_cast<std::ptrdiff_t>(first),
                                    items.begin() + static_cast<std::ptrdiff_t>(first + count));
  const int width = std::min(widest(shown) + 2, cells);
  const size_t n_columns = static_cast<size_t>(std::max(1, cells / width));
  const size_t n_rows = (count + n_columns - 1) / n_columns;
  std::vector<std::string> rows(n_rows);
  for (size_t i = 0; i < count; ++i) {
    const bool last = i + n_rows >= count;
    const std::string label = clip(shown[i].label, width - (last ? 0 : 2));
    rows[i % n_rows] += last ? label : pad(label, width);
  }
  return rows;
}

}  // namespace

std::vector<std::string> layout_menu(const std::vector<MenuItem>& items, int columns,
                                     size_t max_rows, size_t page, bool colors) {
  const int cells = std::max(columns - 1, 1);
  if (items.empty() || max_rows == 0) return {};
  const bool any_doc =
      std::any_of(items.begin(), items.end(), [](const MenuItem& i) { return !i.doc.empty(); });
  if (any_doc && items.size() <= max_rows) return with_docs(items, cells, colors);

  const int width = std::min(widest(items) + 2, cells);
  const size_t per_row = static_cast<size_t>(std::max(1, cells / std::max(width, 1)));
  if (items.size() <= per_row * max_rows) return in_columns(items, 0, items.size(), cells);

  // More than a screenful: pages, with a last row that says so.
  const size_t per_page = per_row * std::max<size_t>(max_rows - 1, 1);
  const size_t n_pages = (items.size() + per_page - 1) / per_page;
  const size_t first = page % n_pages * per_page;
  std::vector<std::string> rows =
      in_columns(items, first, std::min(per_page, items.size() - first), cells);
  if (max_rows > 1) {
    const std::string more = std::to_string(items.size()) + " candidates, page " +
                             std::to_string(page % n_pages + 1) + " of " + std::to_string(n_pages) +
                             " (Tab: next page)";
    rows.push_back(colors ? "\x1b[90m" + clip(more, cells) + "\x1b[0m" : clip(more, cells));
  }
  return rows;
}

std::string common_prefix(const std::vector<MenuItem>& items) {
  if (items.empty()) return {};
  std::string prefix = items[0].text;
  for (const MenuItem& item : items) {
    size_t n = 0;
    while (n < prefix.size() && n < item.text.size() && prefix[n] == item.text[n]) ++n;
    prefix.resize(n);
  }
  // Do not cut a character in two.
  size_t whole = 0;
  while (whole < prefix.size()) {
    const unsigned char lead = static_cast<unsigned char>(prefix[whole]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (whole + size > prefix.size()) break;
    whole += size;
  }
  prefix.resize(whole);
  return prefix;
}

}  // namespace lm
