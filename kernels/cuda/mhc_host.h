#pragma once
// What mHC's forward kernels refuse: the host's half, since nvcc cannot compile fmt.
#include "kernels/cuda/mhc.h"

namespace birkhoff::cuda {

// Throw InternalError unless sizes and addresses are what kernels/cuda/mhc.h says.
void require_close(const char* name, const MhcCloseArgs& args);
void require_open(const char* name, const MhcOpenArgs& args);
void require_same_rows(const char* name, const MhcCloseArgs& close, const MhcOpenArgs& open);

// By clusters of kOpenRanks blocks (sm_90/mhc_open_cluster.cu), whatever the width; close: null, or
// what is closed. REQUIRES what mhc_open does. sm_90/no_sm_90.cpp takes its place where no
// architecture has clusters, and throws InternalError.
void mhc_open_cluster(const char* name, const MhcOpenArgs& open, const MhcCloseArgs* close,
                      cudaStream_t stream);
MhcOpenCut mhc_open_cluster_cut(const MhcOpenArgs& args);

// Tokens of a tile, which are columns of an mma.
constexpr int mhc_open_tile(int n) { return n == 8 ? 4 : 8; }

inline constexpr unsigned kOpenThreads = 256;
inline constexpr size_t kMostRowBytes = 160 * 1024;  // that a block keeps on the chip

inline constexpr int kOpenRanks = 8;  // blocks of a cluster
// Tiles of 8 tokens of a cluster, a warp of each block for each.
constexpr int mhc_open_cluster_tiles(int n) { return n == 8 ? 5 : 10; }
inline constexpr int64_t kMhcClusterWidth = 1920;  // from which on clusters are worth asking for
inline constexpr size_t kMostClusterRowBytes = 200 * 1024;

}  // namespace birkhoff::cuda
