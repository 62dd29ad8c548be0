#pragma once
// Directories of checkpoints that are being written or removed. They lie beside the checkpoint,
// under names that no reader takes for one. Thread-safe: no state.
#include <string>

#include "base/files.h"

namespace birkhoff {

Path partial_path(const Path& checkpoint);  // ".step-00000100.partial" beside it
Path pruned_path(const Path& checkpoint);   // ".step-00000100.pruned"

// Removes such a directory, and in it only files that the format names: a wrong path loses nothing.
// Returns false if something is left, true also if the directory does not exist. Throws
// ResourceError if it cannot be listed.
bool remove_leftover(const Path& path);

}  // namespace birkhoff
