#include "runtime/line_editor.h"

#include <algorithm>

#include "runtime/char_width.h"

namespace lm {
namespace {

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

std::string_view trim_left(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t");
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

}  // namespace

std::vector<std::string> split_pasted_session(std::string_view text, std::string_view prompt,
                                              bool& ends_with_newline) {
  const std::string_view mark = prompt.substr(0, prompt.find_last_not_of(' ') + 1);  // "lmfast>"
  std::vector<std::string> inputs;
  ends_with_newline = text.ends_with('\n');
  if (mark.empty() || !trim_left(text).starts_with(mark)) return inputs;
  const auto after = [](std::string_view line, size_t n) {
    line.remove_prefix(n);
    if (line.starts_with(' ')) line.remove_prefix(1);
    return line;
  };
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    const std::string_view line = trim_left(text.substr(i, end - i));
    if (line.starts_with(mark)) {
      inputs.emplace_back(after(line, mark.size()));
    } else if (line.starts_with("..>")) {
      inputs.back() += '\n';
      inputs.back() += after(line, 3);
    }
    i = end + 1;
  }
  std::erase_if(inputs, [](const std::string& input) { return is_blank(input); });
  return inputs;
}

bool LineEditor::start() {
  buffer_.clear();
  hint_.clear();
  menu_open_ = tab_again_ = control_x_ = browsing_ = searching_ = false;
  drawn_ = false;
  if (queue_.empty()) return false;
  const Queued next = std::move(queue_.front());
  queue_.pop_front();
  buffer_.set(next.text, next.text.size(), false);
  return next.run;
}

void LineEditor::set_text(std::string_view text) {
  const std::string clean = sanitize_input(text);
  buffer_.set(clean, clean.size(), true);
  menu_open_ = browsing_ = false;
  refresh_hint();
}

std::string LineEditor::take() {
  std::string text = buffer_.text();
  buffer_.clear();
  return text;
}

EditResult LineEditor::feed(unsigned char byte) {
  const std::optional<Key> key = decoder_.feed(byte);
  return key ? handle(*key) : EditResult::more;
}

EditResult LineEditor::timeout() {
  const std::optional<Key> key = decoder_.flush();
  return key ? handle(*key) : EditResult::more;
}

void LineEditor::refresh_hint() {
  hint_.clear();
  if (hint && !buffer_.empty() && buffer_.cursor() == buffer_.text().size())
    hint_ = hint(buffer_.text(), buffer_.cursor());
}

EditResult LineEditor::handle(const Key& key) {
  EditResult result = EditResult::more;
  if (searching_ && search_key(key, result)) {
    refresh_hint();
    return result;
  }
  const bool was_tab = key.code == KeyCode::tab;
  const bool vertical = key.code == KeyCode::up || key.code == KeyCode::down ||
                        (key.code == KeyCode::ctrl && (key.letter == 'p' || key.letter == 'n'));
  if (!was_tab) menu_open_ = tab_again_ = false;
  if (!vertical) browsing_ = false;
  if (key.code != KeyCode::text && key.code != KeyCode::ctrl && key.code != KeyCode::meta &&
      key.code != KeyCode::meta_backspace)
    buffer_.end_run();

  switch (key.code) {
    case KeyCode::text:
      buffer_.insert(key.text);
      break;
    case KeyCode::paste:
      result = paste(key.text);
      break;
    case KeyCode::ctrl:
      result = handle_ctrl(key.letter);
      break;
    case KeyCode::meta:
      handle_meta(key.letter);
      break;
    case KeyCode::enter:
      result = enter(false);
      break;
    case KeyCode::meta_enter:
      result = enter(true);
      break;
    case KeyCode::tab:
      result = tab();
      break;
    case KeyCode::backspace:
      buffer_.erase_before();
      break;
    case KeyCode::meta_backspace:
      buffer_.kill_name_before();
      break;
    case KeyCode::del:
      buffer_.erase_after();
      break;
    case KeyCode::up:
      if (!buffer_.move_up()) browse(true);
      break;
    case KeyCode::down:
      if (!buffer_.move_down()) browse(false);
      break;
    case KeyCode::page_up:
      browse(true);
      break;
    case KeyCode::page_down:
      browse(false);
      break;
    case KeyCode::left:
      buffer_.move_left();
      break;
    case KeyCode::right:
      buffer_.move_right();
      break;
    case KeyCode::word_left:
      buffer_.move_word_left();
      break;
    case KeyCode::word_right:
      buffer_.move_word_right();
      break;
    case KeyCode::home:
      buffer_.move_line_start();
      break;
    case KeyCode::end:
      buffer_.move_line_end();
      break;
    case KeyCode::back_tab:
    case KeyCode::escape:
    case KeyCode::unknown:
      break;
  }
  if (result == EditResult::more) refresh_hint();
  return result;
}

EditResult LineEditor::handle_ctrl(char letter) {
  const bool after_x = control_x_;
  control_x_ = letter == 'x';
  if (letter != 'k' && letter != 'u' && letter != 'w') buffer_.end_run();
  switch (letter) {
    case 'a':
      buffer_.move_line_start();
      break;
    case 'b':
      buffer_.move_left();
      break;
    case 'c':
      return EditResult::cancel;
    case 'd':
      if (buffer_.empty()) return EditResult::end_of_input;
      buffer_.erase_after();
      break;
    case 'e':
      if (after_x) return EditResult::edit;
      buffer_.move_line_end();
      break;
    case 'f':
      buffer_.move_right();
      break;
    case 'k':
      buffer_.kill_to_line_end();
      break;
    case 'l':
      return EditResult::clear_screen;
    case 'n':
      if (!buffer_.move_down()) browse(false);
      break;
    case 'p':
      if (!buffer_.move_up()) browse(true);
      break;
    case 'r':
      start_search(true);
      break;
    case 's':
      start_search(false);
      break;
    case 't':
      buffer_.transpose();
      break;
    case 'u':
      buffer_.kill_to_line_start();
      break;
    case 'w':
      buffer_.kill_word_before();
      break;
    case 'y':
      buffer_.yank();
      break;
    case 'z':
      return EditResult::suspend;
    case '_':
      buffer_.undo();
      break;
    default:
      break;
  }
  return EditResult::more;
}

void LineEditor::handle_meta(char letter) {
  if (letter != 'd') buffer_.end_run();
  switch (letter) {
    case 'b':
      buffer_.move_word_left();
      break;
    case 'f':
      buffer_.move_word_right();
      break;
    case 'd':
      buffer_.kill_name_after();
      break;
    case '<':
      buffer_.set(buffer_.text(), 0, false);
      break;
    case '>':
      buffer_.move_end();
      break;
    default:
      break;
  }
}

EditResult LineEditor::enter(bool force_newline) {
  const std::string& text = buffer_.text();
  const size_t last_line = text.rfind('\n');
  // Enter on an empty last line runs what is there, so that nobody is trapped in a continuation.
  const bool give_up = last_line != std::string::npos && buffer_.cursor() == text.size() &&
                       is_blank(std::string_view(text).substr(last_line));
  if (!force_newline && (give_up || is_blank(text) || !is_complete || is_complete(text))) {
    buffer_.move_end();
    hint_.clear();
    return EditResult::submit;
  }
  buffer_.insert("\n");
  return EditResult::more;
}

EditResult LineEditor::paste(const std::string& bytes) {
  std::string text = sanitize_input(bytes);
  bool run_last = false;
  if (buffer_.empty()) {
    const std::vector<std::string> inputs = split_pasted_session(text, prompt, run_last);
    if (!inputs.empty()) {
      for (size_t i = 1; i < inputs.size(); ++i)
        queue_.push_back({inputs[i], i + 1 < inputs.size() || run_last});
      buffer_.set(inputs[0], inputs[0].size(), true);
      return inputs.size() > 1 || run_last ? EditResult::submit : EditResult::more;
    }
  }
  while (text.ends_with('\n')) text.pop_back();
  buffer_.insert(text);
  return EditResult::more;
}

EditResult LineEditor::tab() {
  const size_t cursor = buffer_.cursor(), start = buffer_.line_start();
  if (start > 0 && is_blank(std::string_view(buffer_.text()).substr(start, cursor - start))) {
    buffer_.insert("  ");
    return EditResult::more;
  }
  if (!complete) return EditResult::more;
  if (menu_open_) {
    ++menu_page_;
    return EditResult::more;
  }
  Completion found = complete(buffer_.text(), cursor, tab_again_);
  // File names may hold any bytes, and a careless callback may point into a character.
  found.from = std::min(found.from, cursor);
  while (found.from > 0 && (static_cast<unsigned char>(buffer_.text()[found.from]) & 0xC0) == 0x80)
    --found.from;
  for (MenuItem& item : found.items) item.text = sanitize_input(item.text);
  if (found.items.empty()) return EditResult::more;
  const std::string prefix =
      found.items.size() == 1 ? found.items[0].text : common_prefix(found.items);
  const std::string typed = buffer_.text().substr(found.from, cursor - found.from);
  const bool extends = prefix.size() > typed.size() || (found.items.size() == 1 && prefix != typed);
  if (extends) {
    buffer_.replace_before_cursor(found.from, prefix);
    tab_again_ = found.items.size() > 1;
  } else if (found.items.size() > 1) {
    menu_open_ = tab_again_;
    if (menu_open_) menu_ = std::move(found);
    menu_page_ = 0;
    tab_again_ = true;
  }
  return EditResult::more;
}

}  // namespace lm
