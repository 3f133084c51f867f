// The prompt: reads inputs, hands them to the session, keeps the rest of the process alive
// meanwhile.
#pragma once

#include <optional>
#include <string>

#include "runtime/history.h"
#include "runtime/line_editor.h"

namespace lm {

class Session;

class Repl {
 public:
  Repl(Session& session, History& history);

  // Runs until the user leaves; the exit code of the process.
  int run();

 private:
  enum class Verdict : unsigned char { input, nothing, leave };

  Verdict read_edited(LineEditor& editor, std::string& text);
  Verdict read_plain(std::string& text);
  Verdict act(LineEditor& editor, EditResult result, std::string& text);
  bool take_bytes(LineEditor& editor, std::string& text, Verdict& verdict);
  void repaint(LineEditor& editor);
  void serve(LineEditor* editor);
  void evaluate(const std::string& text);
  bool confirm_leaving();
  int exit_code() const;

  Session& session_;
  History& history_;
  LineEditor editor_;
  std::string unread_;  // bytes that came after the end of an input
  bool plain_;          // no cursor movement: TERM=dumb, or stdout is no terminal
  bool input_ended_ = false;
};

}  // namespace lm
