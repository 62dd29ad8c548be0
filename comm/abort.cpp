#include "comm/abort.h"

#include <utility>

namespace birkhoff {

bool AbortFlag::raise(ExitCode code, std::string line) {
  if (claimed_.exchange(true)) return false;
  code_ = code;
  line_ = std::move(line);
  raised_.store(true, std::memory_order_release);
  return true;
}

void AbortFlag::fail() const { throw_error(code_, line_); }

}  // namespace birkhoff
