#include "runtime/line_buffer.h"

#include <algorithm>

#include "runtime/char_width.h"

namespace lm {
namespace {

constexpr size_t kMaxUndo = 200;                   // steps
constexpr size_t kMaxUndoBytes = size_t{1} << 22;  // of text that is copied for each step

bool is_word_byte(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         u == '_';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n';
}

}  // namespace

void LineBuffer::remember(Change change) {
  killing_ = false;
  const bool same_run = change == Change::typing && last_change_ == Change::typing;
  last_change_ = change;
  if (same_run) return;
  if (undo_.size() >= kMaxUndo || (text_.size() > kMaxUndoBytes / kMaxUndo && undo_.size() >= 8))
    undo_.erase(undo_.begin());
  undo_.push_back({text_, cursor_});
}

void LineBuffer::end_run() {
  killing_ = false;
  last_change_ = Change::none;
}

void LineBuffer::set(std::string_view text, size_t cursor, bool undoable) {
  if (undoable) remember(Change::other);
  text_ = text;
  cursor_ = std::min(cursor, text_.size());
}

void LineBuffer::clear() {
  text_.clear();
  cursor_ = 0;
  undo_.clear();
  end_run();
}

void LineBuffer::insert(std::string_view text) {
  if (text.empty()) return;
  remember(text.size() <= 4 && !is_space(text[0]) ? Change::typing : Change::other);
  text_.insert(cursor_, text);
  cursor_ += text.size();
}

void LineBuffer::replace_before_cursor(size_t from, std::string_view text) {
  remember(Change::other);
  from = std::min(from, cursor_);
  text_.replace(from, cursor_ - from, text);
  cursor_ = from + text.size();
}

void LineBuffer::erase_before() {
  if (cursor_ == 0) return;
  remember(Change::other);
  const size_t from = previous_cluster(text_, cursor_);
  text_.erase(from, cursor_ - from);
  cursor_ = from;
}

void LineBuffer::erase_after() {
  if (cursor_ == text_.size()) return;
  remember(Change::other);
  text_.erase(cursor_, next_cluster(text_, cursor_) - cursor_);
}

void LineBuffer::transpose() {
  const size_t start = line_start(), end = line_end();
  size_t right = cursor_ == end ? previous_cluster(text_, cursor_) : cursor_;
  if (right <= start || right >= end) return;
  const size_t left = previous_cluster(text_, right), after = next_cluster(text_, right);
  remember(Change::other);
  std::rotate(text_.begin() + static_cast<std::ptrdiff_t>(left),
              text_.begin() + static_cast<std::ptrdiff_t>(right),
              text_.begin() + static_cast<std::ptrdiff_t>(after));
  cursor_ = after;
}

void LineBuffer::move_left() {
  cursor_ = previous_cluster(text_, cursor_);
}
void LineBuffer::move_right() {
  cursor_ = next_cluster(text_, cursor_);
}

size_t LineBuffer::line_start() const {
  const size_t at = cursor_ == 0 ? std::string::npos : text_.rfind('\n', cursor_ - 1);
  return at == std::string::npos ? 0 : at + 1;
}

size_t LineBuffer::line_end() const {
  return std::min(text_.find('\n', cursor_), text_.size());
}

size_t LineBuffer::word_start() const {
  size_t i = cursor_;
  while (i > 0 && !is_word_byte(text_[i - 1])) --i;
  while (i > 0 && is_word_byte(text_[i - 1])) --i;
  return i;
}

size_t LineBuffer::word_end() const {
  size_t i = cursor_;
  while (i < text_.size() && !is_word_byte(text_[i])) ++i;
  while (i < text_.size() && is_word_byte(text_[i])) ++i;
  return i;
}

int LineBuffer::column() const {
  const size_t start = line_start();
  return text_width(std::string_view(text_).substr(start, cursor_ - start));
}

size_t LineBuffer::offset_at(size_t line, int column) const {
  const size_t end = std::min(text_.find('\n', line), text_.size());
  size_t i = line;
  for (int cells = 0; i < end;) {
    const size_t next = next_cluster(text_, i);
    cells += text_width(std::string_view(text_).substr(i, next - i));
    if (cells > column) break;
    i = next;
  }
  return i;
}

bool LineBuffer::move_up() {
  const size_t start = line_start();
  if (start == 0) return false;
  const size_t above = start < 2 ? std::string::npos : text_.rfind('\n', start - 2);
  cursor_ = offset_at(above == std::string::npos ? 0 : above + 1, column());
  return true;
}

bool LineBuffer::move_down() {
  const size_t end = line_end();
  if (end == text_.size()) return false;
  cursor_ = offset_at(end + 1, column());
  return true;
}

void LineBuffer::kill(size_t from, size_t to, bool forward) {
  if (from >= to) return;
  const bool extend = killing_;
  remember(Change::other);
  const std::string cut = text_.substr(from, to - from);
  if (!extend)
    killed_ = cut;
  else
    killed_ = forward ? killed_ + cut : cut + killed_;
  text_.erase(from, to - from);
  cursor_ = from;
  killing_ = true;
}

void LineBuffer::kill_to_line_end() {
  const size_t end = line_end();
  kill(cursor_, end == cursor_ ? std::min(end + 1, text_.size()) : end, true);
}

void LineBuffer::kill_to_line_start() {
  const size_t start = line_start();
  kill(start == cursor_ && start > 0 ? start - 1 : start, cursor_, false);
}

void LineBuffer::kill_word_before() {
  size_t i = cursor_;
  while (i > 0 && is_space(text_[i - 1])) --i;
  while (i > 0 && !is_space(text_[i - 1])) --i;
  kill(i, cursor_, false);
}

void LineBuffer::kill_name_before() {
  kill(word_start(), cursor_, false);
}
void LineBuffer::kill_name_after() {
  kill(cursor_, word_end(), true);
}

void LineBuffer::yank() {
  if (killed_.empty()) return;
  remember(Change::other);
  text_.insert(cursor_, killed_);
  cursor_ += killed_.size();
}

bool LineBuffer::undo() {
  if (undo_.empty()) return false;
  text_ = std::move(undo_.back().text);
  cursor_ = undo_.back().cursor;
  undo_.pop_back();
  end_run();
  return true;
}

}  // namespace lm
