#include "runtime/log.h"

#include <array>
#include <atomic>

#include "engine/core/error.h"
#include "runtime/console.h"
#include "runtime/options.h"

namespace lm {
namespace {
constexpr std::array<const char*, 4> kNames = {"debug", "info", "warn", "error"};
std::atomic<LogLevel> g_level{LogLevel::warn};
}  // namespace

Options& options() {
  static Options instance;
  return instance;
}

LogLevel log_level() {
  return g_level.load(std::memory_order_relaxed);
}
const char* log_level_name(LogLevel level) {
  return kNames.at(static_cast<size_t>(level));
}

void set_log_level(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    g_level.store(static_cast<LogLevel>(i));
    return;
  }
  raise(ErrorCode::bad_option, "log level: got \"{}\"; expected debug, info, warn or error", name);
}

void log(LogLevel level, std::string_view message) {
  if (level < log_level()) return;
  console().write_err(fmt::format("{}: {}\n", log_level_name(level), message));
}

}  // namespace lm
