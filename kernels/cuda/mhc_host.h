#pragma once
// What opens and closes streams refuses, and how it is cut: the host's half, since nvcc cannot
// compile fmt.
#include "kernels/cuda/hc.h"

namespace birkhoff::cuda {

struct OpenedRows {
  const bf16* x;
  int64_t tokens, width;
  int n;
};

// Throw InternalError unless sizes and addresses are what kernels/cuda/mhc.h and hc.h say.
void require_close(const char* name, const MhcCloseArgs& args);
void require_opened(const char* name, int n, int64_t width);
void require_open(const char* name, const MhcOpenArgs& args);
void require_open(const char* name, const HcOpenArgs& args);
void require_closed(const char* name, const MhcCloseArgs& close, const OpenedRows& open);

MhcOpenCut streams_open_cut(int64_t tokens, int64_t width, int n);

// Tokens of a tile, which are columns of an mma.
constexpr int mhc_open_tile(int n) { return n == 8 ? 4 : 8; }

inline constexpr unsigned kOpenThreads = 256;
inline constexpr size_t kMostRowBytes = 160 * 1024;  // that a block keeps on the chip

// Threads of a block that takes a token, 8 channels a thread: as few rounds as kTokenThreads make
// of a row, and in them as few threads as that takes.
inline constexpr unsigned kTokenThreads = 256;
unsigned token_threads(int64_t width);

}  // namespace birkhoff::cuda
