#pragma once
// Size of the workspace of rope's cpu body, which keeps dims/2 frequencies, and per thread the
// cosines and sines of one token.
#include <cstddef>
#include <cstdint>

namespace birkhoff::cpu {

// Number of frequencies, padded to whole vectors of every instruction set, so that computing angles
// needs no remainder loop.
inline size_t rope_frequencies(int64_t dims) { return size_t(dims / 2 + 15) / 16 * 16; }

}  // namespace birkhoff::cpu
