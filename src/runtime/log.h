// Log lines to stderr, through the console.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lm {

enum class LogLevel : uint8_t { debug, info, warn, error };

LogLevel log_level();
const char* log_level_name(LogLevel level);
// Throws bad_option, naming the four levels, for another name.
void set_log_level(const std::string& name);

// Writes "level: message" when the level is shown. Any thread.
void log(LogLevel level, std::string_view message);

}  // namespace lm
