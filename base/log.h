#pragma once
// The log: lines for people, on stderr and, once init_log has been given a file, in it. A line is
//
//   2026-01-31 12:00:00.123 rank 0 warning: text
//
// and always one line: the text is made printable, whatever it quotes. There is no state but
// spdlog's default logger. Thread-safe, except that init_log is called before others log.
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/format.h"

namespace birkhoff {

enum class LogLevel { debug, info, warning, error };

struct LogOptions {
  int rank = 0;
  LogLevel level = LogLevel::info;
  std::filesystem::path file = {};  // appended to; its directory is made. Empty: stderr only
};

// Throws ResourceError (exit code 5) if the file cannot be opened.
void init_log(const LogOptions& options);

void log_line(LogLevel level, std::string_view text);
// Not on stderr: somebody else says it there.
void log_to_file(LogLevel level, std::string_view text);

template <class... A>
void log_debug(fmt::format_string<A...> text, A&&... args) {
  log_line(LogLevel::debug, fmt::format(text, std::forward<A>(args)...));
}
template <class... A>
void log_info(fmt::format_string<A...> text, A&&... args) {
  log_line(LogLevel::info, fmt::format(text, std::forward<A>(args)...));
}
template <class... A>
void log_warning(fmt::format_string<A...> text, A&&... args) {
  log_line(LogLevel::warning, fmt::format(text, std::forward<A>(args)...));
}
template <class... A>
void log_error(fmt::format_string<A...> text, A&&... args) {
  log_line(LogLevel::error, fmt::format(text, std::forward<A>(args)...));
}

}  // namespace birkhoff
