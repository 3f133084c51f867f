#include "runtime/shutdown.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <vector>

#include "engine/core/error.h"
#include "runtime/console.h"
#include "runtime/event_loop.h"
#include "runtime/terminal.h"

namespace lm {
namespace {

std::mutex g_mutex;
std::array<std::vector<std::function<void()>>, 2> g_stages;
std::atomic<int> g_quit{-1};
std::atomic<bool> g_abandoned{false};

std::vector<std::function<void()>> take_stage(size_t stage) {
  const std::lock_guard lock(g_mutex);
  std::vector<std::function<void()>> work;
  work.swap(g_stages[stage]);
  return work;
}

}  // namespace

void on_shutdown(ShutdownStage stage, std::function<void()> work) {
  const std::lock_guard lock(g_mutex);
  g_stages[static_cast<size_t>(stage)].push_back(std::move(work));
}

void shut_down() {
  for (size_t stage = 0; stage < g_stages.size(); ++stage) {
    const std::vector<std::function<void()>> work = take_stage(stage);
    for (size_t i = work.size(); i-- > 0;) {
      try {
        work[i]();
      } catch (const std::exception& error) {
        console().write_err(std::string("lmfast: while ending: ") + error.what() + "\n");
      }
    }
  }
  main_loop().close();
}

void request_quit(int code) {
  int none = -1;
  g_quit.compare_exchange_strong(none, code < 0 ? 1 : code);
}

int quit_requested() {
  return g_quit.load();
}

void abandon_threads() {
  g_abandoned.store(true);
}
bool threads_abandoned() {
  return g_abandoned.load();
}

void end_process(int code) {
  shut_down();
  try {
    console().flush();
  } catch (const Error& error) {
    console().write_err(std::string("lmfast: ") + error.what() + "\n");
    if (code == 0) code = 1;
  }
  std::fflush(nullptr);
  terminal_restore();
  ::_exit(code);
}

}  // namespace lm
