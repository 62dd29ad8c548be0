#pragma once
// What mHC's forward kernels refuse: the host's half, since nvcc cannot compile fmt.
#include "kernels/cuda/mhc.h"

namespace birkhoff::cuda {

// Throw InternalError unless sizes and addresses are what kernels/cuda/mhc.h says.
void require_close(const char* name, const MhcCloseArgs& args);
void require_open(const char* name, const MhcOpenArgs& args);
void require_same_rows(const char* name, const MhcCloseArgs& close, const MhcOpenArgs& open);

inline constexpr unsigned kOpenThreads = 256;
inline constexpr int kMostAccesses = 40;  // of 16 bytes, that a lane keeps of its tokens' rows
inline constexpr size_t kMostRowBytes = size_t{kMostAccesses} * kOpenThreads * 16;

}  // namespace birkhoff::cuda
