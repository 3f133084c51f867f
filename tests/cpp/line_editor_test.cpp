#include "runtime/line_editor.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/char_width.h"

using lm::EditResult;
using lm::LineEditor;

namespace {

EditResult type(LineEditor& editor, std::string_view bytes) {
  EditResult result = EditResult::more;
  for (const char c : bytes) {
    result = editor.feed(static_cast<unsigned char>(c));
    if (result != EditResult::more) break;
  }
  return result;
}

// What the editor holds, with | at the cursor.
std::string shown(const LineEditor& editor) {
  std::string text = editor.text();
  return text.insert(editor.cursor(), "|");
}

std::string edited(std::string_view bytes) {
  LineEditor editor;
  editor.start();
  type(editor, bytes);
  return shown(editor);
}

}  // namespace

TEST_CASE("line editor: keys move and change the text") {
  struct Row {
    const char *keys, *expected;
  };
  const Row rows[] = {
      {"abc\x01X\x05Y", "XabcY|"},
      {"abc\x02\x02X\x06Y", "aXbY|c"},
      {"one two\x17", "one |"},
      {"one two\x15", "|"},
      {"one two\x01\x0b\x19\x19", "one twoone two|"},
      {"one two\x17\x17\x19", "one two|"},
      {"ab\x14", "ba|"},
      {"abc\x02\x14", "acb|"},
      {"one.two\x1b\x7f", "one.|"},
      {"one two\x1b"
       "bX",
       "one X|two"},
      {"one two\x01\x1b"
       "fX",
       "oneX| two"},
      {"one two\x01\x1b"
       "d",
       "| two"},
      {"one two\x1b[1;5DX", "one X|two"},
      {"abc\x1b[H\x1b[3~", "|bc"},
      {"abc\x1b[1~X\x1b[4~Y", "XabcY|"},
      {"abc\x1bOH\x1bOC\x08", "|bc"},
      {"abc\x1f", "|"},
      {"ab cd\x17\x1f", "ab cd|"},
      {"日本\x7f", "日|"},
      {"e\xcc\x81x\x02\x02X", "X|e\xcc\x81x"},
      {"👩\u200d🚀\x7f", "|"},
      {"a\x1b[99;99;99Rb", "ab|"},
      {"a\xff\xc3(b", "a(b|"},
      {"abc\x1b\r", "abc\n|"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.keys);
    CHECK(edited(row.keys) == row.expected);
  }
}

TEST_CASE("line editor: verdicts") {
  LineEditor editor;
  editor.start();
  CHECK(type(editor, "x\x03") == EditResult::cancel);
  editor.start();
  CHECK(type(editor, "\x04") == EditResult::end_of_input);
  CHECK(type(editor, "ab\x01\x04") == EditResult::more);
  CHECK(shown(editor) == "|b");
  CHECK(type(editor, "\r") == EditResult::submit);
  CHECK(editor.take() == "b");
  editor.start();
  CHECK(type(editor, "\x1a") == EditResult::suspend);
  CHECK(type(editor, "\x0c") == EditResult::clear_screen);
  CHECK(type(editor, "\x18\x05") == EditResult::edit);
}

TEST_CASE(
    "line editor: incomplete input continues; an empty last line runs it; lines are walked with "
    "the arrows") {
  LineEditor editor;
  editor.is_complete = [](const std::string& text) {
    return text.find("end") != std::string::npos;
  };
  editor.start();
  CHECK(type(editor, "do\rxyz\r") == EditResult::more);
  CHECK(type(editor, "\x1b[AQ") == EditResult::more);
  CHECK(shown(editor) == "do\nQ|xyz\n");
  CHECK(type(editor, "\x1b[B\r") == EditResult::submit);
  CHECK(editor.take() == "do\nQxyz\n");
}

TEST_CASE("line editor: history by prefix and by search") {
  const std::vector<std::string> history = {"alpha = 1", "beta = 2", "alpha(3)", "do\n  x()\nend"};
  LineEditor editor;
  editor.history = &history;
  editor.start();
  type(editor, "al\x1b[A");
  CHECK(editor.text() == "alpha(3)");
  type(editor, "\x1b[A");
  CHECK(editor.text() == "alpha = 1");
  type(editor, "\x1b[A\x1b[B\x1b[B");
  CHECK(editor.text() == "al");
  type(editor,
       "\x15\x12"
       "a = ");
  CHECK(editor.text() == "beta = 2");
  type(editor, "\x12");
  CHECK(editor.text() == "alpha = 1");
  type(editor, "\x13");
  CHECK(editor.text() == "beta = 2");
  type(editor, "\x07");
  CHECK(editor.text().empty());
  CHECK(type(editor, "\x12x(\r") == EditResult::submit);
  CHECK(editor.take() == "do\n  x()\nend");
}

TEST_CASE("line editor: a paste is one unit, a pasted session is split into its inputs") {
  LineEditor editor;
  editor.is_complete = [](const std::string&) { return true; };
  editor.start();
  CHECK(type(editor, "\x1b[200~a\tb\rc\r\n\x1b[31md\x1b[201~") == EditResult::more);
  CHECK(editor.text() == "a\tb\nc\nd");
  editor.start();
  CHECK(type(editor, "\x1b[200~lmfast> 1\r1\rlmfast> do\r   ..> end\rlmfast> x\x1b[201~") ==
        EditResult::submit);
  CHECK(editor.take() == "1");
  CHECK(editor.start());
  CHECK(editor.take() == "do\nend");
  CHECK_FALSE(editor.start());
  CHECK(editor.text() == "x");
}

TEST_CASE("line editor: a lone ESC is a key after its time") {
  LineEditor editor;
  editor.start();
  type(editor, "ab\x1b");
  CHECK(editor.escape_pending());
  CHECK(editor.timeout() == EditResult::more);
  CHECK_FALSE(editor.escape_pending());
  type(editor, "[");
  CHECK(editor.text() == "ab[");
}

TEST_CASE("line editor: completion") {
  LineEditor editor;
  editor.colors = false;
  editor.complete = [](const std::string& text, size_t cursor, bool full) {
    lm::Completion c;
    c.from = text.rfind(' ', cursor) == std::string::npos ? 0 : text.rfind(' ', cursor) + 1;
    for (const char* name : {"alpha", "alphabet"})
      c.items.push_back({name, name, full ? "doc" : ""});
    return c;
  };
  editor.start();
  type(editor, "x al\t");
  CHECK(editor.text() == "x alpha");
  std::string frame;
  editor.render(frame, 40, 10);
  CHECK(frame.find("alphabet") == std::string::npos);
  type(editor, "\t");
  frame.clear();
  editor.render(frame, 40, 10);
  CHECK(frame.find("alphabet  doc") != std::string::npos);
}

TEST_CASE("line editor: frames wrap at the margin and hide() climbs back") {
  LineEditor editor;
  editor.colors = false;
  editor.prompt = "> ";
  editor.start();
  type(editor, "12345678");
  std::string frame, hide;
  editor.render(frame, 10, 10);
  editor.hide(hide);
  CHECK(frame == "> 12345678 \r");  // the cursor has a row of its own
  CHECK(hide == "\x1b[1A\r\x1b[J");
  type(editor, "日\x01");
  frame.clear();
  hide.clear();
  editor.render(frame, 10, 10);
  editor.hide(hide);
  CHECK(frame == "> 12345678日\x1b[1A\r\x1b[2C");
  CHECK(hide == "\r\x1b[J");
  std::string last;
  editor.finish(last, 10);
  CHECK(last == "> 12345678日\r\n");
}

TEST_CASE("line editor: a text taller than the screen shows the rows around the cursor") {
  LineEditor editor;
  editor.colors = false;
  editor.is_complete = [](const std::string&) { return false; };
  editor.start();
  for (int i = 0; i < 30; ++i) type(editor, "row" + std::to_string(i) + "\r");
  std::string frame;
  editor.render(frame, 40, 8);
  CHECK(frame.find("row29") != std::string::npos);
  CHECK(frame.find("row20") == std::string::npos);
  CHECK(std::count(frame.begin(), frame.end(), '\n') == 6);
}

TEST_CASE("char width: cells of letters, wide letters, marks and emoji") {
  CHECK(lm::text_width("abc") == 3);
  CHECK(lm::text_width("日本語") == 6);
  CHECK(lm::text_width("e\u0301") == 1);
  CHECK(lm::text_width("👍") == 2);
  CHECK(lm::text_width("\x1b[1;31mx\x1b[0m") == 1);
  CHECK(lm::clip("abcdef", 4) == "abc…");
  CHECK(lm::clip("日本語", 5) == "日本…");
  CHECK(lm::clip("abc", 3) == "abc");
}

TEST_CASE("highlight: keywords, strings, comments, numbers; brackets pair outside of strings") {
  using lm::Style;
  const std::string text = "local s = 'a)' .. f(1, {x.end}) -- no";
  const auto styles = lm::highlight_lua(text);
  CHECK(styles[0] == Style::keyword);
  CHECK(styles[text.find('\'')] == Style::string);
  CHECK(styles[text.find('1')] == Style::number);
  CHECK(styles[text.find("end")] == Style::plain);
  CHECK(styles.back() == Style::comment);
  size_t one = 0, other = 0;
  CHECK(lm::find_bracket_pair(text, styles, text.find("(1"), one, other));
  CHECK(other == text.find(") --"));
  CHECK_FALSE(lm::find_bracket_pair(text, styles, text.find("a)"), one, other));
}
