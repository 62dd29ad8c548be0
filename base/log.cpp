#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/error.h"
#include "base/files.h"

namespace birkhoff {
namespace {

constexpr size_t kMaxLine = 4000;

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void init_log(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks = {std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (options.file.has_parent_path()) make_directories(options.file.parent_path());
  try {
    if (!options.file.empty())
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file.string()));
  } catch (const spdlog::spdlog_ex& e) {
    throw ResourceError(fmt::format("cannot open the log: {}", printable(e.what())));
  }
  auto logger = std::make_shared<spdlog::logger>("birkhoff", sinks.begin(), sinks.end());
  logger->set_pattern(fmt::format("%Y-%m-%d %H:%M:%S.%e rank {} %l: %v", options.rank));
  logger->set_level(level_of(options.level));
  logger->flush_on(spdlog::level::debug);  // a killed process loses no line
  spdlog::set_default_logger(std::move(logger));
}

void log_line(LogLevel level, std::string_view text) {
  spdlog::default_logger_raw()->log(level_of(level), "{}", printable(text, kMaxLine));
}

void log_to_file(LogLevel level, std::string_view text) {
  const spdlog::logger* logger = spdlog::default_logger_raw();
  if (logger->sinks().size() < 2) return;  // stderr alone
  const std::string line = printable(text, kMaxLine);
  logger->sinks()[1]->log(spdlog::details::log_msg(logger->name(), level_of(level), line));
  logger->sinks()[1]->flush();
}

}  // namespace birkhoff
