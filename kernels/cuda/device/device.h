#pragma once
// The vocabulary of device code: the functions through which a kernel uses the hardware. Nothing
// else in kernels/cuda/ may contain <<<>>>, __shared__, asm or a CUDA built-in (rules:
// docs/cuda.md).
//
// Every function has two implementations with the same name and meaning: nvidia/, for nvcc, is one
// PTX instruction or built-in per function; emulated/, for g++, does the same on a CPU
// (tests/cuda/emulator/). Only this file and sm_90.h choose between them. Emulated; not yet run on
// a GPU.
//
// Execution (PTX ISA 9.0, "Parallel Synchronization"; CUDA C++ Programming Guide)
//   Dim thread_index(), block_index(), block_dim(), grid_dim()
//   unsigned thread()           the thread's number within its block
//   T& shared<T>()              the block's one object of type T in static shared memory, not
//                               initialised
//   T* dynamic_shared<T>()      the Launch::shared_bytes of dynamic shared memory, aligned to 16
//   sync_block()                barrier for all threads of the block that have not returned
//   sync_warp(mask)             orders shared memory among the lanes of mask; shuffles do not
//   shuffle(mask, v, lane), shuffle_xor(mask, v, x), shuffle_up, shuffle_down(mask, v, n)
//   ballot(mask, p), any(mask, p), all(mask, p)
//   launch(name, kernel, Launch, arguments…)     on the host; throws as launched.h says
// Masks are exact: they contain the participating lanes and no others. All lanes of a collective
// call it at the same source line.
//
// Memory
//   load(p), load<Cache::…>(p), store(p, v), store<Cache::…>(p, v)
//       The only access to global memory. A Pack<T, n> is one access of up to 16 bytes, aligned to
//       its size.
//   copy_async(shared, global, bytes = 16)   writes 16 bytes; those from `bytes` on are zero
//   copy_async_commit(), copy_async_wait<n>()  the thread waits until at most n groups are pending
//   ldmatrix_x4(r, row), ldmatrix_x4_transposed(r, row)   four 8×8 matrices of 2-byte elements;
//       lane 8·m + i passes the address of row i of matrix m, aligned to 16
//
// Arithmetic is in float; bf16 is a storage type.
//   mma_bf16(d, a, b)   d[16×8] += a[16×16]·b[16×8], bf16 factors
//   mma_tf32(d, a, b)   d[16×8] += a[16×8]·b[8×8], factors from to_tf32()
//       tests/cuda/layouts.h says which lane holds which elements
//   widen(bf16), round_bf16(float), as_pair(low, high), fast_exp, fast_rsqrt, fast_divide
//
// sm_90.h has the functions that sm_80 lacks: clusters, mbarriers, bulk copies.
#include "kernels/cuda/device/types.h"

#if defined(__CUDACC__)
#include "kernels/cuda/device/nvidia/arithmetic.h"
#include "kernels/cuda/device/nvidia/execution.h"
#include "kernels/cuda/device/nvidia/memory.h"
#else
#include "kernels/cuda/device/emulated/arithmetic.h"
#include "kernels/cuda/device/emulated/execution.h"
#include "kernels/cuda/device/emulated/memory.h"
#endif
