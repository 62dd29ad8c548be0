#pragma once
// What a fixed row of collectives leaves on a rank, as hashes: to compare transports bit for bit.
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace birkhoff::testing {

// "all_reduce f32 31: 0123…", a line for each operation, element type and count. Collective.
std::vector<std::string> collective_hashes(Communicator& ranks);

}  // namespace birkhoff::testing
