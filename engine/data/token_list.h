#pragma once
// Token ids written by a user (`birkhoff score --tokens`). Thread-safe: no state.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace birkhoff {

// Ids are decimal digits, without a sign or leading zeros, below 2^31. Either white space, with at
// most one comma in it, separates them, or the whole is one JSON array, with commas. Throws
// DataError with the byte of anything else; `path` names the file in messages.
std::vector<int32_t> parse_token_list(std::string_view text, const Path& path);

}  // namespace birkhoff
