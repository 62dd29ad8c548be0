#pragma once
// What mHC's forward kernels refuse: the host's half, since nvcc cannot compile fmt.
#include "kernels/cuda/mhc.h"

namespace birkhoff::cuda {

// Throw InternalError unless sizes and addresses are what kernels/cuda/mhc.h says.
void require_close(const char* name, const MhcCloseArgs& args);
void require_open(const char* name, const MhcOpenArgs& args);
void require_same_rows(const char* name, const MhcCloseArgs& close, const MhcOpenArgs& open);

// Tokens of a tile, which are columns of an mma.
constexpr int mhc_open_tile(int n) { return n == 8 ? 4 : 8; }

inline constexpr unsigned kOpenThreads = 256;
inline constexpr size_t kMostRowBytes = 160 * 1024;  // that a block keeps on the chip

}  // namespace birkhoff::cuda
