#pragma once
// Hashes of the results of a fixed sequence of collectives, to compare transports bit for bit.
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace birkhoff::testing {

// "all_reduce f32 31: 0123…", a line for each operation, element type and count. Called by all
// ranks.
std::vector<std::string> collective_hashes(Communicator& ranks);

}  // namespace birkhoff::testing
