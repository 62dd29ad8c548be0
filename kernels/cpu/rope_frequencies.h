#pragma once
// What the cpu body of rope keeps: dims/2 frequencies, and the cosines and sines of one token.
#include <cstddef>
#include <cstdint>

namespace birkhoff::cpu {

// Padded to whole vectors of every instruction set, so that angles have no ragged end.
inline size_t rope_frequencies(int64_t dims) { return size_t(dims / 2 + 15) / 16 * 16; }

}  // namespace birkhoff::cpu
