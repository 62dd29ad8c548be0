#pragma once
// The log: lines for people, on stderr and in a file once init_log has been given one. A line is
//
//   2026-01-31 12:00:00.123 rank 0 warning: text
//
// and always one line: the text is made printable, whatever it quotes. The only state is spdlog's
// default logger and whether init_log was called. Thread-safe.
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/format.h"

namespace birkhoff {

enum class LogLevel { debug, info, warning, error };

struct LogOptions {
  int rank = 0;
  LogLevel level = LogLevel::info;
  // Appended to with one write per line; its directory is created. Neither may be a link, nor the
  // file a FIFO, a device or the like. Empty: stderr only.
  std::filesystem::path file = {};
};

// Throws ResourceError (exit code 5) if the file cannot be opened. Before the first call, lines go
// to stderr. A line that cannot be written later is lost, and stderr says once that lines are
// missing.
void init_log(const LogOptions& options);

void log_line(LogLevel level, std::string_view text);
// Logs to the file only, for lines that reach stderr in another way.
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
