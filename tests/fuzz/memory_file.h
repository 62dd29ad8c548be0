#pragma once
// A file in memory, for parsers that read files. Only one exists at a time.
#include <string_view>

#include "base/directory.h"

namespace birkhoff::fuzz {

// Holds `bytes` until the next call. The path works in this process only.
Path memory_file(std::string_view bytes);

}  // namespace birkhoff::fuzz
