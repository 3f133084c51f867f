// The history file, shared by all shells of a user: appended under a lock, read at the start.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

class History {
 public:
  static constexpr size_t kMaxEntries = 10000;

  // An empty path keeps the history in memory only.
  explicit History(std::string path) : path_(std::move(path)) {}

  // Reads the file; a missing or damaged one gives what can be read. When it holds far more than
  // kMaxEntries lines, it is rewritten with the latest ones.
  void load();
  // Adds an input unless it repeats the last one, is blank, starts with a space or holds a secret;
  // writes it to the file at once. A file that cannot be written is no error: the entry stays in
  // memory.
  void add(const std::string& input);

  // Oldest first.
  const std::vector<std::string>& entries() const { return entries_; }
  const std::string& path() const { return path_; }

  // LMFAST_HISTORY, else $XDG_STATE_HOME/lmfast/history, else ~/.local/state/lmfast/history; empty:
  // no file.
  static std::string default_path();
  // One line per input in the file: "\\" and "\n" stand for a backslash and a line break.
  static std::string escape(std::string_view input);
  static std::string unescape(std::string_view line);
  // Inputs that must not be kept: token=, api_key=, password= and the like, or a leading space.
  static bool is_private(std::string_view input);

 private:
  void append_to_file(const std::string& input) const;
  void shrink_file() const;

  std::string path_;
  std::vector<std::string> entries_;
};

}  // namespace lm
