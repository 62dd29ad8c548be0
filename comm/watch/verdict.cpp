#include "comm/watch/verdict.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace birkhoff {

void leave_verdict(ExitCode code) noexcept {
  const char* path = std::getenv("BIRKHOFF_VERDICT");
  if (!path) return;
  const int file = ::open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return;
  char text[16];
  const int length = std::snprintf(text, sizeof text, "%d\n", int(code));
  if (::write(file, text, size_t(length)) < 0) {  // the launcher then has its own code
  }
  ::close(file);
}

}  // namespace birkhoff
