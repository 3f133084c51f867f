// Drawing of the line editor: text to rows, rows to a frame. Long lines wrap by the terminal's own
// margin, so that terminals which reflow on resize keep them whole.
#include <algorithm>

#include "engine/text/unicode.h"
#include "runtime/char_width.h"
#include "runtime/line_editor.h"

namespace lm {
namespace {

constexpr int kTabCells = 4;

// Fills rows of `columns` cells.
class RowWriter {
 public:
  RowWriter(int columns, bool colors) : columns_(columns), colors_(colors) { rows.emplace_back(); }

  struct Row {
    std::string bytes;
    bool soft = false;
  };
  std::vector<Row> rows;

  int column() const { return column_; }

  void put(std::string_view bytes, int cells, Style style) {
    if (column_ + cells > columns_) wrap();
    use(style);
    rows.back().bytes += bytes;
    column_ += cells;
  }
  void line_break() {
    use(Style::plain);
    rows.emplace_back();
    column_ = 0;
  }
  void wrap() {
    const Style style = style_;
    use(Style::plain);
    rows.back().soft = true;
    rows.emplace_back();
    column_ = 0;
    use(style);
  }
  void end() { use(Style::plain); }
  // Writes text with escape sequences of its own, e.g. the prompt.
  void put_text(std::string_view text, Style style) {
    for (size_t i = 0; i < text.size();) {
      const size_t next = next_cluster(text, i);
      const std::string_view cluster = text.substr(i, next - i);
      put(cluster, text_width(cluster), style);
      i = next;
    }
  }

 private:
  void use(Style style) {
    if (style == Style::bracket) style = Style::plain;
    if (style == style_) return;
    if (colors_) rows.back().bytes += style_escape(style);
    style_ = style;
  }

  int columns_, column_ = 0;
  bool colors_;
  Style style_ = Style::plain;
};

void move_up(std::string& out, size_t rows) {
  if (rows > 0) out += "\x1b[" + std::to_string(rows) + "A";
}

}  // namespace

std::vector<Style> LineEditor::styles(bool decorate) const {
  const std::string& text = buffer_.text();
  if (!colors) return std::vector<Style>(text.size(), Style::plain);
  std::vector<Style> styles = highlight_lua(text);
  size_t one = 0, other = 0;
  if (decorate && !searching_ && find_bracket_pair(text, styles, buffer_.cursor(), one, other))
    styles[one] = styles[other] = Style::match;
  if (decorate && searching_ && !search_failed_)
    for (size_t i = 0; i < search_text_.size() && search_match_ + i < styles.size(); ++i)
      styles[search_match_ + i] = Style::match;
  return styles;
}

LineEditor::Layout LineEditor::layout(int columns, bool decorate) const {
  const std::string& text = buffer_.text();
  const std::vector<Style> style = styles(decorate);
  RowWriter writer(columns, colors);
  Layout result;
  const auto mark_cursor = [&](size_t at) {
    if (at != buffer_.cursor()) return;
    result.cursor_row = writer.rows.size() - 1;
    result.cursor_column = std::min(writer.column(), columns - 1);
  };
  writer.put_text(prompt, Style::prompt);
  int indent = writer.column();
  for (size_t i = 0; i < text.size();) {
    mark_cursor(i);
    if (text[i] == '\n') {
      writer.line_break();
      writer.put_text(continuation, Style::hint);
      indent = writer.column();
      ++i;
    } else if (text[i] == '\t') {
      do writer.put(" ", 1, style[i]);
      while ((writer.column() - indent) % kTabCells != 0 && writer.column() < columns);
      ++i;
    } else {
      const size_t size = decode_utf8(text, i).size;
      const std::string_view bytes = std::string_view(text).substr(i, size);
      const int cells = text_width(bytes);
      if (i == buffer_.cursor() &&
          writer.column() + cells > columns) {  // it stands on the next row
        writer.wrap();
        mark_cursor(i);
      }
      writer.put(bytes, cells, style[i]);
      i += size;
    }
  }
  if (decorate && writer.column() >= columns) {  // the cursor needs a cell of its own
    writer.wrap();
    mark_cursor(text.size());
    if (buffer_.cursor() == text.size()) result.cursor_column = 0;
    writer.rows.back().bytes += ' ';
  }
  mark_cursor(text.size());
  const int room = columns - writer.column() - 1;
  if (decorate && !hint_.empty() && !searching_ && room > 8) {
    const std::string shown = clip(std::string_view(hint_).substr(0, hint_.find('\n')), room);
    writer.put(shown, text_width(shown), Style::hint);
  }
  writer.end();
  for (RowWriter::Row& row : writer.rows) result.rows.push_back({std::move(row.bytes), row.soft});
  return result;
}

std::vector<std::string> LineEditor::rows_below(int columns, int rows, size_t text_rows) const {
  std::vector<std::string> below;
  if (searching_) {
    const std::string label = std::string("history search") + (search_backward_ ? "" : " forward") +
                              (search_failed_ ? " (no match): " : ": ") + search_text_;
    below.push_back(clip(label, columns - 1));
  }
  if (menu_open_) {
    const size_t used = text_rows + below.size() + 1;
    const size_t room = static_cast<size_t>(rows) > used ? static_cast<size_t>(rows) - used : 0;
    // A long text scrolls away a little so that the list is not squeezed out.
    const size_t wanted = std::max(room, static_cast<size_t>(std::max(1, rows / 3)));
    for (std::string& row : layout_menu(menu_.items, columns, wanted, menu_page_, colors))
      below.push_back(std::move(row));
  }
  return below;
}

// First visible row when the text has more rows than the screen: the cursor's row stays in view.
size_t LineEditor::window_top(const Layout& l, size_t visible) const {
  if (l.rows.size() <= visible || l.cursor_row < visible) return 0;
  return std::min(l.cursor_row + 1, l.rows.size()) - visible;
}

void LineEditor::render(std::string& out, int columns, int rows) {
  columns = std::max(columns, 2);
  rows = std::max(rows, 2);
  const Layout l = layout(columns, true);
  const std::vector<std::string> below = rows_below(columns, rows, l.rows.size());
  const size_t room = static_cast<size_t>(rows - 1);  // one row is kept for the status of jobs
  const size_t visible = std::max<size_t>(1, room > below.size() ? room - below.size() : 1);
  const size_t top = window_top(l, visible), bottom = std::min(l.rows.size(), top + visible);
  for (size_t i = top; i < bottom; ++i) {
    out += l.rows[i].bytes;
    if (i + 1 < bottom && !l.rows[i].soft) out += "\r\n";
  }
  for (const std::string& row : below) out += "\r\n" + row;
  move_up(out, bottom - 1 - l.cursor_row + below.size());
  out += '\r';
  if (l.cursor_column > 0) out += "\x1b[" + std::to_string(l.cursor_column) + "C";
  drawn_above_ = l.cursor_row - top;
  drawn_ = true;
}

void LineEditor::hide(std::string& out) const {
  if (!drawn_) return;
  move_up(out, drawn_above_);
  out += "\r\x1b[J";
}

void LineEditor::resized(int columns, int rows) {
  if (!drawn_) return;
  const Layout l = layout(std::max(columns, 2), true);
  drawn_above_ = std::min(l.cursor_row, static_cast<size_t>(std::max(rows - 1, 0)));
}

void LineEditor::finish(std::string& out, int columns) const {
  const Layout l = layout(std::max(columns, 2), false);
  for (const Row& row : l.rows) {
    out += row.bytes;
    if (!row.soft) out += "\r\n";
  }
}

}  // namespace lm
