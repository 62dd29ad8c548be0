#pragma once
// Kernels that call one function ("word") of kernels/cuda/device/sm_90.h each, to check its
// meaning.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

// Blocks of 64 threads, in clusters. out[2·block], out[2·block + 1]: its rank, its cluster's size.
void run_ranks(unsigned* out, unsigned blocks, unsigned cluster, cudaStream_t stream);

// out[64·block + i] = in[64·next + 63 − i], read from the shared memory of block `next`, which is
// the one after `block` in its cluster, cyclically.
void run_read_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                   cudaStream_t stream);
// out[64·next + i] = in[64·block + i], written into that block's shared memory, 16 bytes at a time.
void run_write_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                    cudaStream_t stream);

// One block: out[i] = Σ over the rounds of in[64·round + i], i < n. Each round copies n floats (a
// multiple of 4, at most 64) into the same buffer by a bulk copy.
void run_copy_bulk(const float* in, float* out, int n, int rounds, cudaStream_t stream);

// One block of 64 threads, three phases. In each, a thread writes a 1 before it arrives at an
// mbarrier; after the wait, counts[phase, i] is the sum of what thread i reads of all: 64.
void run_arrivals(int* counts, cudaStream_t stream);

// One cluster of blocks of 64 threads, three rounds. In each, thread i writes 1000·round + rank to
// element [rank, i] of every block, and arrives there; after its wait, sums[round, rank, i] is the
// sum of its own block's elements [all ranks, 63 − i].
void run_peer_arrivals(int* sums, unsigned cluster, cudaStream_t stream);

}  // namespace birkhoff::testing
