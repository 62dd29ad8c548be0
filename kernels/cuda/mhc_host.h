#pragma once
// What opens and closes streams refuses, and how it is cut: the host's half, since nvcc cannot
// compile fmt.
#include "kernels/cuda/hc.h"
#include "kernels/cuda/mhc_layout.h"

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

// Of what a block opens by itself.
MhcOpenCut streams_open_cut(int64_t tokens, int64_t width, int n);

// By clusters of kClusterRanks blocks (sm_90/mhc_open_cluster.cu), whatever the width; close: null,
// or what is closed. REQUIRES what mhc_open does. sm_90/no_sm_90.cpp takes its place where no
// architecture has clusters, and throws InternalError.
void mhc_open_cluster(const char* name, const MhcOpenArgs& open, const MhcCloseArgs* close,
                      cudaStream_t stream);
MhcOpenCut mhc_open_cluster_cut(const MhcOpenArgs& args);

// Tokens of a tile, which are columns of an mma.
constexpr int mhc_open_tile(int n) { return n == 8 ? 4 : 8; }

inline constexpr unsigned kOpenThreads = 256;
inline constexpr size_t kMostRowBytes = 160 * 1024;  // that a block keeps on the chip

// Tiles of 8 tokens of a cluster, a warp of each block for each.
constexpr int mhc_open_cluster_tiles(int n) { return n == 8 ? 5 : 10; }
inline constexpr size_t kMostClusterRowBytes = 200 * 1024;

// Threads of a block that takes a token, 8 channels a thread: as few rounds as kTokenThreads make
// of a row, and in them as few threads as that takes.
inline constexpr unsigned kTokenThreads = 256;
unsigned token_threads(int64_t width);

}  // namespace birkhoff::cuda
