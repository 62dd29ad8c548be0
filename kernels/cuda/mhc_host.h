#pragma once
// The host side of opening and closing streams: argument checks, and how calls are divided. It is
// separate because nvcc cannot compile fmt.
#include "kernels/cuda/hc.h"
#include "kernels/cuda/mhc_layout.h"

namespace birkhoff::cuda {

struct OpenedRows {
  const bf16* x;
  int64_t tokens, width;
  int n;
};

// They throw InternalError unless sizes and addresses are as kernels/cuda/mhc.h and hc.h require.
void require_close(const char* name, const MhcCloseArgs& args);
void require_opened(const char* name, int n, int64_t width);
void require_open(const char* name, const MhcOpenArgs& args);
void require_open(const char* name, const HcOpenArgs& args);
void require_closed(const char* name, const MhcCloseArgs& close, const OpenedRows& open);

// The cut for blocks that do not form clusters.
MhcOpenCut streams_open_cut(int64_t tokens, int64_t width, int n);

// Opens streams by clusters of kClusterRanks blocks (sm_90/mhc_open_cluster.cu), whatever the
// width, after closing them if `close` is not null. REQUIRES what mhc_open does. In a build without
// an architecture that has clusters, sm_90/no_sm_90.cpp defines it to throw InternalError.
void mhc_open_cluster(const char* name, const MhcOpenArgs& open, const MhcCloseArgs* close,
                      cudaStream_t stream);
MhcOpenCut mhc_open_cluster_cut(const MhcOpenArgs& args);

// Tokens per tile; they are columns of an mma.
constexpr int mhc_open_tile(int n) { return n == 8 ? 4 : 8; }

inline constexpr unsigned kOpenThreads = 256;
inline constexpr size_t kMostRowBytes = 160 * 1024;  // rows that a block keeps on the chip

// Tiles of 8 tokens per cluster; in each block, one warp handles each tile.
constexpr int mhc_open_cluster_tiles(int n) { return n == 8 ? 5 : 10; }
inline constexpr size_t kMostClusterRowBytes = 200 * 1024;

// Threads of a block that handles one token, 8 channels per thread and round. It takes as few
// rounds as kTokenThreads threads would, with as few threads as suffice for that many rounds.
inline constexpr unsigned kTokenThreads = 256;
unsigned token_threads(int64_t width);

}  // namespace birkhoff::cuda
