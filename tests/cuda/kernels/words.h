#pragma once
// Kernels that say one word of the vocabulary each, so that its meaning can be checked.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

// One warp: out[word][lane] of shuffle, shuffle_xor, shuffle_up, shuffle_down, ballot, any, all.
inline constexpr int kExchanges = 7;
void run_exchanges(float* out, unsigned* votes, cudaStream_t stream);
// Both halves of a warp at the same time, each with its own mask: sums of 16.
void run_half_warp_sums(float* out, cudaStream_t stream);

// out[i] = in[n−1−i] through shared memory and a barrier; n ≤ 1024, any.
void run_reverse(const float* in, float* out, int n, cudaStream_t stream);

// A block that declares 1024 floats, 0, 2, …, in shared memory, and whose launch adds 0, 1, …, to
// n = added/4. out[i], i < 64: the last but i of what is added minus the last but i of the others.
void run_shared(float* out, size_t added, cudaStream_t stream);

// out[4·lane + r] of ldmatrix over a 4·8×8 matrix of 16-bit elements.
void run_ldmatrix(const uint16_t* in, uint32_t* out, bool transposed, cudaStream_t stream);

// One warp: d[lane] += a[lane]·b[lane], registers as they are.
void run_mma_bf16(const cuda::MmaA* a, const cuda::MmaB* b, cuda::MmaD* d, cudaStream_t stream);
void run_mma_tf32(const cuda::MmaA* a, const cuda::MmaB* b, cuda::MmaD* d, cudaStream_t stream);

// Of each x: widen(round_bf16(x)), to_tf32(x) as a float, fast_exp, fast_rsqrt, fast_divide(1, x).
inline constexpr int kFunctions = 5;
void run_functions(const float* in, float* out, int n, cudaStream_t stream);

// Copies n bytes (a multiple of 2) by cp.async, 16 bytes a thread, in three groups that overlap;
// what is behind n is zero up to the next multiple of 16.
void run_copy_async(const void* in, void* out, int n, cudaStream_t stream);

// p[i] += 1 for n elements: for tests of streams.
void run_increment(float* p, int n, cudaStream_t stream);

}  // namespace birkhoff::testing
