#include "comm/watch/verdict.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace birkhoff {
namespace {

void append(std::string_view line) noexcept {
  const char* path = std::getenv("BIRKHOFF_VERDICT");
  if (!path) return;
  const int file = ::open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return;
  if (::write(file, line.data(), line.size()) < 0) {  // the launcher then uses its own code
  }
  ::close(file);
}

}  // namespace

void leave_verdict(ExitCode code) noexcept {
  char text[16];
  const int length = std::snprintf(text, sizeof text, "%d\n", int(code));
  append({text, size_t(length)});
}

void leave_progress() noexcept { append("progress\n"); }

}  // namespace birkhoff
