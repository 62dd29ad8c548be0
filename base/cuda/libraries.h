#pragma once
// Libraries that are loaded at run time, so that the binary starts without them: the driver,
// cuBLASLt and NCCL. Says what each must provide, and what was found.
#include <array>
#include <optional>
#include <vector>

#include "base/shared_library.h"

namespace birkhoff::cuda {

using Version = std::array<int, 3>;  // 2.27.3

struct LibraryNeed {
  std::vector<const char*> names;    // tried in turn
  std::vector<const char*> symbols;  // all must exist
  // The version that the library reports; nullopt if its function fails.
  std::optional<Version> (*version)(const SharedLibrary&);
  Version least, below;  // least ≤ version < below
};

LibraryNeed driver_need();
LibraryNeed cublaslt_need();
LibraryNeed nccl_need();

struct LoadedLibrary {
  SharedLibrary library;  // loaded if and only if it meets the need
  std::string line;       // "libnccl.so.2, 2.27.3", or why it cannot be used
};

// Never throws for a library that is missing or wrong.
LoadedLibrary load(const LibraryNeed& need);

}  // namespace birkhoff::cuda
