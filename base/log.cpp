#include "base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>

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

// spdlog's own file sink follows links and waits at a FIFO for a reader.
class LogFile : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogFile(const Path& path)
      : file_(open_output(path, O_WRONLY | O_CREAT | O_APPEND), path) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    try {
      file_.write(std::as_bytes(std::span(line.data(), line.size())));
      lost_ = false;
    } catch (const ResourceError& e) {
      if (!lost_) fmt::print(stderr, "warning: lines are missing from the log: {}\n", e.what());
      lost_ = true;
    }
  }
  void flush_() override {}

 private:
  File file_;
  bool lost_ = false;  // whether the last line was lost
};

std::shared_ptr<LogFile> open_log(const Path& path) {
  try {
    if (path.parent_path().has_parent_path()) make_directories(path.parent_path().parent_path());
    if (path.has_parent_path()) make_own_directory(path.parent_path());
    detach_hard_links(path);
    return std::make_shared<LogFile>(path);
  } catch (const ResourceError& e) {
    throw ResourceError(fmt::format("cannot open the log: {}", e.what()));
  }
}

std::atomic<bool> initialised = false;

// A shared_ptr, not a raw pointer: another thread may be in init_log.
std::shared_ptr<spdlog::logger> logger() {
  if (!initialised) init_log({});
  return spdlog::default_logger();
}

}  // namespace

void init_log(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks = {std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (!options.file.empty()) sinks.push_back(open_log(options.file));
  initialised = true;
  auto logger = std::make_shared<spdlog::logger>("birkhoff", sinks.begin(), sinks.end());
  logger->set_pattern(fmt::format("%Y-%m-%d %H:%M:%S.%e rank {} %l: %v", options.rank));
  logger->set_level(level_of(options.level));
  logger->flush_on(spdlog::level::debug);  // a killed process loses no line
  spdlog::set_default_logger(std::move(logger));
}

void log_line(LogLevel level, std::string_view text) {
  logger()->log(level_of(level), "{}", printable(text, kMaxLine));
}

void log_to_file(LogLevel level, std::string_view text) {
  const auto to = logger();
  if (to->sinks().size() < 2) return;  // stderr alone
  const std::string line = printable(text, kMaxLine);
  to->sinks()[1]->log(spdlog::details::log_msg(to->name(), level_of(level), line));
}

}  // namespace birkhoff
