#include "runtime/repl.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "bindings/session.h"
#include "engine/core/interrupt.h"
#include "runtime/console.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"
#include "runtime/process.h"
#include "runtime/shutdown.h"
#include "runtime/terminal.h"

namespace lm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEscapeWait(50);
constexpr milliseconds kForever(-1);

std::string trim(const std::string& text) {
  const size_t from = text.find_first_not_of(" \t\n");
  return from == std::string::npos ? std::string()
                                   : text.substr(from, text.find_last_not_of(" \t\n") + 1 - from);
}

}  // namespace

Repl::Repl(Session& session, History& history)
    : session_(session), history_(history), plain_(!console().out_is_tty() || terminal_is_dumb()) {
  editor_.history = &history_.entries();
  editor_.colors = console().colors();
  editor_.is_complete = [this](const std::string& text) { return session_.is_complete(text); };
  editor_.complete = [this](const std::string& text, size_t cursor, bool full) {
    return session_.complete(text, cursor, full);
  };
  editor_.hint = [this](const std::string& text, size_t cursor) {
    return session_.hint(text, cursor);
  };
}

int Repl::exit_code() const {
  if (terminate_requested() != 0) return terminate_requested();
  return std::max(quit_requested(), 0);
}

int Repl::run() {
  for (;;) {
    if (quit_requested() >= 0 || terminate_requested() != 0) return exit_code();
    std::string text;
    const Verdict verdict = plain_ ? read_plain(text) : read_edited(editor_, text);
    if (terminate_requested() != 0) return exit_code();
    if (verdict == Verdict::nothing) continue;
    const std::string word = trim(text);
    if (word == "exit!") return 0;
    if (verdict == Verdict::leave || word == "exit" || word == "quit") {
      if (confirm_leaving()) return exit_code();
      continue;
    }
    evaluate(text);
  }
}

void Repl::evaluate(const std::string& text) {
  history_.add(text);
  if (trim(text).empty()) return;
  clear_interrupt();
  session_.run(text);
  console().set_progress("");
  console().flush();
  clear_interrupt();
}

bool Repl::confirm_leaving() {
  const std::optional<std::string> running = session_.leave();
  if (!running || input_ended_) return true;
  console().write(*running + (running->ends_with('\n') ? "" : "\n"));
  std::string answer;
  if (plain_) {
    console().write("Leave anyway? [y/N]\n");
    return read_plain(answer) == Verdict::input && (answer == "y" || answer == "yes");
  }
  LineEditor question;
  question.prompt = "Leave anyway? [y/N] ";
  question.colors = false;
  return read_edited(question, answer) == Verdict::input &&
         (trim(answer) == "y" || trim(answer) == "yes");
}

void Repl::repaint(LineEditor& editor) {
  std::string frame, hide;
  editor.render(frame, console().columns(), console().rows());
  editor.hide(hide);
  console().show_line(std::move(frame), std::move(hide));
}

// Runs what other threads posted. Ctrl-C stops that work, not the line: it must be a signal
// meanwhile.
void Repl::serve(LineEditor* editor) {
  if (!main_loop().has_work()) {
    main_loop().pump();  // timers
    return;
  }
  if (editor) terminal_allow_interrupt(true);
  main_loop().pump();
  if (editor) terminal_allow_interrupt(false);
  if (terminate_requested() == 0) clear_interrupt();
}

// What a verdict of the editor means for the prompt; `nothing` without a finished input goes on
// reading.
Repl::Verdict Repl::act(LineEditor& editor, EditResult result, std::string& text) {
  std::string last;
  switch (result) {
    case EditResult::submit:
      editor.finish(last, console().columns());
      console().hide_line(last);
      text = editor.take();
      return Verdict::input;
    case EditResult::cancel: {
      editor.finish(last, console().columns());
      const bool empty = editor.text().empty();
      if (!empty) last.insert(last.ends_with("\r\n") ? last.size() - 2 : last.size(), "^C");
      console().hide_line(empty ? last + "(Ctrl-D to leave)\r\n" : last);
      return Verdict::nothing;
    }
    case EditResult::end_of_input:
      editor.finish(last, console().columns());
      console().hide_line(last);
      return Verdict::leave;
    default:
      return Verdict::nothing;
  }
}

// Feeds what stdin holds; true when the input is finished (text and verdict are set).
bool Repl::take_bytes(LineEditor& editor, std::string& text, Verdict& verdict) {
  for (size_t i = 0; i < unread_.size(); ++i) {
    const EditResult result = editor.feed(static_cast<unsigned char>(unread_[i]));
    switch (result) {
      case EditResult::more:
        continue;
      case EditResult::clear_screen:
        console().clear_screen();
        continue;
      case EditResult::suspend: {
        std::string hide;
        terminal_suspend();
        continue;
      }
      case EditResult::edit: {
        console().hide_line();
        try {
          editor.set_text(edit_text(editor.text()));
        } catch (const std::exception& error) {
          console().write_err(std::string("error: ") + error.what() + "\n");
        }
        continue;
      }
      default:
        unread_.erase(0, i + 1);
        verdict = act(editor, result, text);
        return true;
    }
  }
  unread_.clear();
  return false;
}

Repl::Verdict Repl::read_edited(LineEditor& editor, std::string& text) {
  struct RawScope {
    RawScope() { terminal_enter_raw(); }
    ~RawScope() { terminal_leave_raw(); }
  } raw;
  if (editor.start()) {  // the next of several pasted inputs
    repaint(editor);
    return act(editor, EditResult::submit, text);
  }
  Verdict verdict = Verdict::nothing;
  bool changed = true;
  for (;;) {
    if (!unread_.empty()) {
      if (take_bytes(editor, text, verdict)) return verdict;
      changed = true;
    }
    if (changed && !editor.busy()) repaint(editor);
    changed = false;
    const bool readable =
        main_loop().wait(STDIN_FILENO, editor.escape_pending() ? kEscapeWait : kForever);
    if (terminate_requested() != 0) {
      console().hide_line("\r\n");
      return Verdict::leave;
    }
    if (take_window_changed()) {
      std::string hide;
      editor.resized(console().columns(), console().rows());
      editor.hide(hide);
      console().line_reflowed(std::move(hide));
      changed = true;
    }
    if (g_interrupt_count.load() > 0) {  // kill -INT
      clear_interrupt();
      return act(editor, EditResult::cancel, text);
    }
    serve(&editor);
    if (quit_requested() >= 0) {
      console().hide_line();
      return Verdict::leave;
    }
    if (readable) {
      char bytes[4096];
      const ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (n > 0) {
        unread_.append(bytes, static_cast<size_t>(n));
      } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {  // the terminal is gone
        input_ended_ = true;
        console().hide_line("\r\n");
        return Verdict::leave;
      }
    } else if (editor.escape_pending()) {
      editor.timeout();
      changed = true;
    }
  }
}

// Lines as the terminal (or a pipe) delivers them.
Repl::Verdict Repl::read_plain(std::string& text) {
  const auto show = [&](const std::string& prompt) {
    if (::isatty(STDIN_FILENO) == 0) return;
    console().out_is_tty() ? console().write(prompt) : console().write_err(prompt);
  };
  show(editor_.prompt);
  for (;;) {
    const size_t end = unread_.find('\n');
    if (end != std::string::npos || (input_ended_ && !unread_.empty())) {
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end == std::string::npos ? end : end + 1);
      const bool continued = !text.empty();
      text += (continued ? "\n" : "") + line;
      if (trim(text).empty()) return Verdict::nothing;
      if (input_ended_ || (continued && trim(line).empty()) || session_.is_complete(text))
        return Verdict::input;
      show(editor_.continuation);
      continue;
    }
    if (input_ended_) return Verdict::leave;
    const bool readable = main_loop().wait(STDIN_FILENO, kForever);
    if (terminate_requested() != 0) return Verdict::leave;
    if (g_interrupt_count.load() > 0) {
      clear_interrupt();
      console().write("\n");
      return Verdict::nothing;
    }
    serve(nullptr);
    if (!readable) continue;
    char bytes[4096];
    const ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0)
      unread_.append(bytes, static_cast<size_t>(n));
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
      input_ended_ = true;
  }
}

}  // namespace lm
