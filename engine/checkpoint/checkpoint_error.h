#pragma once
#include "base/error.h"

namespace birkhoff {

// Runs `f` and reports errors of the file system as errors of the checkpoint (exit code 4).
template <class F>
auto as_checkpoint_error(F&& f) {
  try {
    return f();
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
}

}  // namespace birkhoff
