#pragma once
// Kernels that say one word of kernels/cuda/device/sm_90.h each, so that its meaning can be
// checked.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

// Blocks of 64 threads, in clusters. Of each block, rank and size: out[2·block], out[2·block + 1].
void run_ranks(unsigned* out, unsigned blocks, unsigned cluster, cudaStream_t stream);

// out[64·block + i] = in[64·next + 63 − i], next: the block behind it in its cluster, or the first.
// Read from that block's shared memory.
void run_read_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                   cudaStream_t stream);
// out[64·next + i] = in[64·block + i]: written into that block's shared memory, 16 bytes at a time.
void run_write_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                    cudaStream_t stream);

// One block: n floats, a multiple of 4 of 64 at most, by a bulk copy in each of `rounds` rounds
// through one buffer: out[i] = Σ over the rounds of in[64·round + i].
void run_copy_bulk(const float* in, float* out, int n, int rounds, cudaStream_t stream);

// One block of 64 threads: counts[i] = of how many threads i has seen a number, which each writes
// before it arrives at an mbarrier and others read behind their wait. 64 each, in three phases.
void run_arrivals(int* counts, cudaStream_t stream);

// One cluster of blocks of 64 threads, in three rounds: thread i writes round·1000 + its rank to
// place [rank, i] of each block, and arrives there; behind its wait it adds up what is at its own
// block's places [all ranks, 63 − i]: sums[round, rank, i].
void run_peer_arrivals(int* sums, unsigned cluster, cudaStream_t stream);

}  // namespace birkhoff::testing
