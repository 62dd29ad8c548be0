#pragma once
// A file that has no disk behind it, for parsers that read files. One at a time.
#include <string_view>

#include "base/directory.h"

namespace birkhoff::fuzz {

// Holds `bytes` until the next call. Its path works in this process alone.
Path memory_file(std::string_view bytes);

}  // namespace birkhoff::fuzz
