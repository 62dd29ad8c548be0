#pragma once
// Kernels that call one function ("word") of the device vocabulary each, to check its meaning.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

// One warp: out[word][lane] of shuffle, shuffle_xor, shuffle_up, shuffle_down, ballot, any, all.
inline constexpr int kExchanges = 7;
void run_exchanges(float* out, unsigned* votes, cudaStream_t stream);
// Sums of 16 lanes, by both halves of a warp at the same time, each with its own mask.
void run_half_warp_sums(float* out, cudaStream_t stream);

// out[i] = in[n−1−i] through shared memory and a barrier; n ≤ 1024, any.
void run_reverse(const float* in, float* out, int n, cudaStream_t stream);

// A block with 1024 floats 0, 2, … in static shared memory and n = added/4 floats 0, 1, … in
// dynamic. out[i], i < 64: element n − 1 − i of the dynamic ones minus element 1023 − i of the
// static ones.
void run_shared(float* out, size_t added, cudaStream_t stream);

// out[4·lane + r]: register r of ldmatrix over four 8×8 matrices of 16-bit elements.
void run_ldmatrix(const uint16_t* in, uint32_t* out, bool transposed, cudaStream_t stream);

// One warp: d += a·b, where a[lane], b[lane] and d[lane] are the lanes' registers.
void run_mma_bf16(const cuda::MmaA* a, const cuda::MmaB* b, cuda::MmaD* d, cudaStream_t stream);
void run_mma_tf32(const cuda::MmaA* a, const cuda::MmaB* b, cuda::MmaD* d, cudaStream_t stream);

// For each x: widen(round_bf16(x)), to_tf32(x) as a float, fast_exp, fast_rsqrt, fast_divide(1, x).
inline constexpr int kFunctions = 5;
void run_functions(const float* in, float* out, int n, cudaStream_t stream);

// Copies n bytes (a multiple of 2) by cp.async, 16 bytes per thread, in three overlapping groups;
// zero-fills up to the next multiple of 16.
void run_copy_async(const void* in, void* out, int n, cudaStream_t stream);

// p[i] += 1 for n elements, for tests of streams.
void run_increment(float* p, int n, cudaStream_t stream);

}  // namespace birkhoff::testing
