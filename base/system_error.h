#pragma once
// Turns the errno of a failed system call into a ResourceError. Thread-safe.
#include <string>

#include "base/files.h"

namespace birkhoff {

// ENOTSUPP, an errno internal to the kernel that NFS and autofs leak; libc has no text for it.
inline constexpr int kNotSupportedByDriver = 524;

std::string system_reason(int error);

// Throws "cannot VERB PATH: reason", with the reason from errno.
[[noreturn]] void throw_system_error(const char* verb, const Path& path);

}  // namespace birkhoff
