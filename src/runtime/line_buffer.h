// The text being edited: cursor movement, changes, kill and undo. Always valid UTF-8; offsets are
// bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

class LineBuffer {
 public:
  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }
  bool empty() const { return text_.empty(); }

  // Replaces everything; the cursor goes to `cursor` (clamped). `undoable`: keep the old text for
  // undo.
  void set(std::string_view text, size_t cursor, bool undoable);
  void clear();

  void insert(std::string_view text);
  // Replaces [from, cursor) with `text`.
  void replace_before_cursor(size_t from, std::string_view text);
  void erase_before();
  void erase_after();
  void transpose();

  void move_left();
  void move_right();
  void move_word_left() { cursor_ = word_start(); }
  void move_word_right() { cursor_ = word_end(); }
  void move_line_start() { cursor_ = line_start(); }
  void move_line_end() { cursor_ = line_end(); }
  void move_end() { cursor_ = text_.size(); }
  // One line up / down in the same column; false when there is no such line.
  bool move_up();
  bool move_down();

  void kill_to_line_end();
  void kill_to_line_start();
  void kill_word_before();  // back to white space
  void kill_name_before();  // back over one word of letters and digits
  void kill_name_after();
  void yank();
  bool undo();
  // Ends a run of kills or of typed letters: the next one starts a new kill text or undo step.
  void end_run();

  size_t line_start() const;
  size_t line_end() const;
  bool on_first_line() const { return line_start() == 0; }
  bool on_last_line() const { return line_end() == text_.size(); }

 private:
  enum class Change : unsigned char { none, typing, other };
  struct State {
    std::string text;
    size_t cursor;
  };

  size_t word_start() const;
  size_t word_end() const;
  void remember(Change change);
  void kill(size_t from, size_t to, bool forward);
  int column() const;
  size_t offset_at(size_t line, int column) const;

  std::string text_;
  size_t cursor_ = 0;
  std::string killed_;
  bool killing_ = false;  // the last key was a kill: the next one extends killed_
  Change last_change_ = Change::none;
  std::vector<State> undo_;
};

}  // namespace lm
