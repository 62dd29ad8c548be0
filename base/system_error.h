#pragma once
// What the system says of a call that failed, as a ResourceError. Thread-safe.
#include "base/files.h"

namespace birkhoff {

// Throws "cannot VERB PATH: reason", the reason of errno.
[[noreturn]] void throw_system_error(const char* verb, const Path& path);

}  // namespace birkhoff
