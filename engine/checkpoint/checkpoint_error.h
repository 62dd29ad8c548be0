#pragma once
#include "base/error.h"

namespace birkhoff {

// Runs `f`; what the file system refuses is an error of the checkpoint (exit code 4).
template <class F>
auto as_checkpoint_error(F&& f) {
  try {
    return f();
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
}

}  // namespace birkhoff
