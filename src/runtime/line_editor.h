// The line editor of the prompt: a pure state machine. Bytes go in, verdicts and frames come out;
// it does no I/O, knows no Lua and no clock. Used by one thread.
//
// A frame is what stands on the screen: prompt, coloured text, grey hint, search line, completion
// list. The owner writes render()'s bytes at the start of an empty row; hide() gives the bytes that
// take the frame away again.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/keys.h"
#include "runtime/line_buffer.h"
#include "runtime/line_menu.h"
#include "runtime/lua_highlight.h"

namespace lm {

enum class EditResult : uint8_t {
  more,          // keep feeding
  submit,        // take() holds an input
  cancel,        // Ctrl-C
  end_of_input,  // Ctrl-D on an empty line
  suspend,       // Ctrl-Z
  clear_screen,  // Ctrl-L
  edit,          // Ctrl-X Ctrl-E: open the text in $EDITOR
};

struct Completion {
  size_t from = 0;  // bytes before the word that the items replace
  std::vector<MenuItem> items;
};

class LineEditor {
 public:
  // Whether Enter should run the text or start another line. Unset: every text is complete.
  std::function<bool(const std::string& text)> is_complete;
  // Candidates at the cursor; `full` asks for the one-line docs as well.
  std::function<Completion(const std::string& text, size_t cursor, bool full)> complete;
  // Grey text to show after the cursor.
  std::function<std::string(const std::string& text, size_t cursor)> hint;
  // Earlier inputs, oldest first. May be null.
  const std::vector<std::string>* history = nullptr;
  std::string prompt = "lmfast> ";
  std::string continuation = "   ..> ";
  bool colors = true;

  // Begins a new, empty input. Returns true when a paste of several inputs left one that is to run
  // now: take() has it.
  bool start();
  EditResult feed(unsigned char byte);
  // The time for the rest of an escape sequence is over (see escape_pending).
  EditResult timeout();
  // A lone ESC came: call timeout() unless another byte arrives within 50 ms.
  bool escape_pending() const { return decoder_.escape_pending(); }
  // In the middle of a paste: drawing can wait.
  bool busy() const { return decoder_.in_paste(); }

  // Appends the frame for a screen of this size; the cursor ends where the user types.
  void render(std::string& out, int columns, int rows);
  // Appends what erases the last rendered frame; the cursor ends at the start of its first row.
  void hide(std::string& out) const;
  // The terminal was resized and reflowed the frame: hide() must count rows anew.
  void resized(int columns, int rows);
  // Appends the whole text without hint and list, the way it stays in the scrollback, and a line
  // break.
  void finish(std::string& out, int columns) const;

  const std::string& text() const { return buffer_.text(); }
  size_t cursor() const { return buffer_.cursor(); }
  // Replaces the text, e.g. after $EDITOR; the cursor goes to the end.
  void set_text(std::string_view text);
  // Hands out the input and leaves the editor empty.
  std::string take();

 private:
  struct Row {
    std::string bytes;
    bool soft = false;  // goes on in the next row without a line break
  };
  struct Layout {
    std::vector<Row> rows;
    size_t cursor_row = 0;
    int cursor_column = 0;
  };
  struct Queued {
    std::string text;
    bool run;
  };

  EditResult handle(const Key& key);
  EditResult handle_ctrl(char letter);
  void handle_meta(char letter);
  EditResult enter(bool force_newline);
  EditResult paste(const std::string& bytes);
  EditResult tab();
  bool search_key(const Key& key, EditResult& result);
  void search_from(size_t index, bool backward);
  void start_search(bool backward);
  void browse(bool older);
  void leave_browsing();
  void refresh_hint();

  Layout layout(int columns, bool decorate) const;
  std::vector<Style> styles(bool decorate) const;
  std::vector<std::string> rows_below(int columns, int rows, size_t text_rows) const;
  size_t window_top(const Layout& layout, size_t visible) const;

  KeyDecoder decoder_;
  LineBuffer buffer_;
  std::deque<Queued> queue_;
  std::string hint_;
  bool control_x_ = false;

  Completion menu_;
  bool menu_open_ = false, tab_again_ = false;
  size_t menu_page_ = 0;

  // History: `browse_index_` == history size while not browsing.
  bool browsing_ = false;
  size_t browse_index_ = 0;
  std::string browse_prefix_, stashed_;

  bool searching_ = false, search_backward_ = true, search_failed_ = false;
  size_t search_index_ = 0, search_match_ = 0, stashed_cursor_ = 0;
  std::string search_text_;

  size_t drawn_above_ = 0;  // rows of the frame above the cursor's row
  bool drawn_ = false;
};

// Splits a paste copied from a session: the typed inputs without prompts, output lines left out.
// Empty when the text does not start with the prompt. `ends_with_newline` tells whether the last
// input was followed by a line break.
std::vector<std::string> split_pasted_session(std::string_view text, std::string_view prompt,
                                              bool& ends_with_newline);

}  // namespace lm
