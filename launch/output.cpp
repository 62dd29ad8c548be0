// Output of the subcommands: lost output is an error, never silent.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "engine/train/progress.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

[[noreturn]] void refuse_output() {
  throw ResourceError(fmt::format("cannot write to standard output: {}; the output is incomplete",
                                  strerror(errno)));
}

}  // namespace

void write_out(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) refuse_output();
}

void warn(std::string_view text) {
  if (!text.empty()) fmt::print(stderr, "birkhoff: warning: {}\n", text);
}

void flush_out() {
  // ferror finds an earlier print that failed and whose bytes are lost.
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) refuse_output();
}

std::function<void(size_t done, size_t total)> show_work(std::string_view done, bool tokens) {
  const auto display = std::make_shared<WorkDisplay>(
      WorkDisplay::Options{.done = done, .tokens = tokens}, steady_seconds());
  return [display](size_t at, size_t total) { display->at(at, total, steady_seconds()); };
}

}  // namespace birkhoff
