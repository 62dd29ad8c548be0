#pragma once
// Directories of checkpoints that are being written or removed: beside the checkpoint, and named so
// that no reader takes them for one. Thread-safe: no state.
#include <string>

#include "base/files.h"

namespace birkhoff {

Path partial_path(const Path& checkpoint);  // ".step-00000100.partial" beside it
Path pruned_path(const Path& checkpoint);   // ".step-00000100.pruned"

// Removes such a directory, and in it only files that the format names: a wrong path loses nothing.
// False if something of it is left; true if there is none. Throws ResourceError if it cannot be
// listed.
bool remove_leftover(const Path& path);

}  // namespace birkhoff
