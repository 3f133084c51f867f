// History in the line editor: Up/Down by typed prefix, and incremental search with Ctrl-R / Ctrl-S.
#include <algorithm>

#include "runtime/char_width.h"
#include "runtime/line_editor.h"

namespace lm {

void LineEditor::browse(bool older) {
  if (!history) return;
  if (!browsing_) {
    if (!older) return;
    browsing_ = true;
    browse_index_ = history->size();
    stashed_ = buffer_.text();
    browse_prefix_ = stashed_.substr(0, buffer_.cursor());
  }
  size_t i = std::min(browse_index_, history->size());
  while (older ? i > 0 : i < history->size()) {
    older ? --i : ++i;
    if (i == history->size()) {  // past the newest: what was being typed
      browse_index_ = i;
      buffer_.set(stashed_, stashed_.size(), false);
      browsing_ = false;
      return;
    }
    const std::string& entry = (*history)[i];
    if (!entry.starts_with(browse_prefix_) || entry == buffer_.text()) continue;
    browse_index_ = i;
    buffer_.set(entry, entry.size(), false);
    return;
  }
}

void LineEditor::start_search(bool backward) {
  if (!history) return;
  searching_ = true;
  search_backward_ = backward;
  search_failed_ = false;
  search_text_.clear();
  search_match_ = 0;
  search_index_ = backward ? history->size() : 0;
  stashed_ = buffer_.text();
  stashed_cursor_ = buffer_.cursor();
}

// Shows the nearest entry at or beyond `index` that holds the searched text.
void LineEditor::search_from(size_t index, bool backward) {
  if (search_text_.empty()) return;
  for (size_t i = index; i < history->size();
       backward ? --i : ++i) {  // i wraps to a huge value below zero
    const size_t at = (*history)[i].rfind(search_text_);
    if (at == std::string::npos) continue;
    search_index_ = i;
    search_match_ = at;
    search_failed_ = false;
    buffer_.set((*history)[i], at, false);
    return;
  }
  search_failed_ = true;
}

// Returns true when the key belonged to the search; otherwise the search has ended and the key
// still counts.
bool LineEditor::search_key(const Key& key, EditResult& result) {
  const bool again = key.code == KeyCode::ctrl && (key.letter == 'r' || key.letter == 's');
  if (again) {
    search_backward_ = key.letter == 'r';
    std::string shown = buffer_.text();
    size_t i = search_index_;
    do {  // the same input twice in the history is one stop
      i = search_backward_ ? i - 1 : i + 1;
      if (i >= history->size()) break;
    } while ((*history)[i] == shown);
    search_from(i, search_backward_);
    return true;
  }
  if (key.code == KeyCode::text ||
      (key.code == KeyCode::paste && key.text.find_first_of("\r\n") == std::string::npos)) {
    search_text_ += sanitize_input(key.text);
    search_from(
        search_backward_ && search_index_ >= history->size() ? history->size() - 1 : search_index_,
        search_backward_);
    return true;
  }
  if (key.code == KeyCode::backspace) {
    if (!search_text_.empty())
      search_text_.erase(previous_cluster(search_text_, search_text_.size()));
    search_failed_ = false;
    search_from(search_backward_ ? history->size() - 1 : 0, search_backward_);
    return true;
  }
  searching_ = false;
  if (key.code == KeyCode::ctrl && (key.letter == 'g' || key.letter == 'c')) {
    buffer_.set(stashed_, stashed_cursor_, false);
    return true;
  }
  if (key.code == KeyCode::escape) return true;
  if (key.code == KeyCode::enter) {
    buffer_.move_end();
    result = EditResult::submit;
    hint_.clear();
    return true;
  }
  return false;
}

}  // namespace lm
