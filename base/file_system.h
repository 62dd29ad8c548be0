#pragma once
// Guarantees that some file systems do not give: durable names (fsync of a directory), durable
// files (fsync), locks (flock). Work goes on without them, after one warning per process and
// guarantee. Thread-safe.
#include "base/files.h"

namespace birkhoff {

// Whether this errno of a flush means that the file system cannot flush (or that the directory may
// not be opened for it), rather than that bytes were lost.
bool is_unsupported(int error);

// Opens and flushes a directory; returns 0 or the errno.
int try_flush_directory(const Path& path);

enum class Guarantee { durable_names, durable_files, lock };

// Logs once per process and guarantee what is not guaranteed, and why. `path` is the file or
// directory on which the call failed.
void warn_without(Guarantee guarantee, const Path& path, int error);

}  // namespace birkhoff
