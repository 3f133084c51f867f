// Any bytes leave the line editor in a valid state: UTF-8 text, a cursor inside it, frames that can
// be drawn.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/char_width.h"
#include "runtime/line_editor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::string> history = {"first", "do\n  second()\nend", "第三"};
  lm::LineEditor editor;
  editor.history = &history;
  editor.is_complete = [](const std::string& text) { return text.size() % 3 != 0; };
  editor.complete = [](const std::string& text, size_t cursor, bool full) {
    lm::Completion found;
    found.from = cursor / 2;
    for (size_t i = 0; i < text.size() % 40; ++i)
      found.items.push_back({"x" + std::to_string(i), "日", full ? "d" : ""});
    return found;
  };
  editor.hint = [](const std::string&, size_t) { return std::string("hint, ..."); };
  editor.start();
  const int columns = size > 0 ? data[0] % 50 : 20, rows = size > 1 ? data[1] % 30 : 10;
  std::string frame;
  for (size_t i = 0; i < size; ++i) {
    const lm::EditResult result = editor.feed(data[i]);
    if (editor.cursor() > editor.text().size() ||
        lm::sanitize_input(editor.text()) != editor.text())
      std::abort();
    if (i % 7 == 0) {
      frame.clear();
      editor.render(frame, columns, rows);
      if (i % 3 == 0) editor.resized(columns + 3, rows + 1);
      editor.hide(frame);
    }
    if (data[i] == 0x1b && i % 2) editor.timeout();
    if (result == lm::EditResult::more) continue;
    editor.finish(frame, columns);
    editor.take();
    while (editor.start()) editor.take();
  }
  return 0;
}
