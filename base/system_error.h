#pragma once
// What the system says of a call that failed, as a ResourceError. Thread-safe.
#include <string>

#include "base/files.h"

namespace birkhoff {

// ENOTSUPP: of the kernel alone, yet NFS and autofs let it out; libc has no text for it.
inline constexpr int kNotSupportedByDriver = 524;

std::string system_reason(int error);

// Throws "cannot VERB PATH: reason", the reason of errno.
[[noreturn]] void throw_system_error(const char* verb, const Path& path);

}  // namespace birkhoff
