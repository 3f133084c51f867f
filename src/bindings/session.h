// C++'s view of the Lua module lm.session: what a line means. No member throws; an error inside the
// module itself is reported on stderr. When the module cannot be loaded, a warning says so and
// plain Lua is run instead.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/line_editor.h"

struct lua_State;

namespace lm {

class Session {
 public:
  explicit Session(lua_State* L);

  bool is_complete(const std::string& text);
  // Runs one input; true when nothing failed.
  bool run(const std::string& text);
  Completion complete(const std::string& text, size_t cursor, bool full);
  std::string hint(const std::string& text, size_t cursor);
  // Runs a script; its exit code.
  int script(const std::string& source, const std::string& chunk_name,
             const std::vector<std::string>& arguments);
  // Lines to show at the start.
  std::string banner();
  // What would be lost by leaving now.
  std::optional<std::string> leave();
  // require(module)[function](first, arguments): the exit code. `first` may be absent.
  int call_main(const std::string& module, const std::string& function,
                const std::optional<std::string>& first, const std::vector<std::string>& arguments);

 private:
  bool push_function(const char* name);
  bool call(int n_arguments, int n_results, const char* name);
  void push_strings(const std::vector<std::string>& values);
  void report(const char* what);

  lua_State* L_;
};

}  // namespace lm
