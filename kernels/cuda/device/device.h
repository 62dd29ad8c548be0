#pragma once
// The vocabulary of device code: all that a kernel may say to the machine. Nothing else in
// kernels/cuda/ writes <<<>>>, __shared__, asm or a built-in of CUDA (docs/cuda.md has the rules).
//
// Every word is there twice: nvidia/ is one PTX instruction or built-in a word, for nvcc; emulated/
// does the same on a CPU (tests/cuda/emulator/), for g++. Same names, same meaning; this file is
// the one place that chooses. Emulated; not yet run on a GPU.
//
// Execution (PTX ISA 9.0, "Parallel Synchronization"; CUDA C++ Programming Guide)
//   Dim thread_index(), block_index(), block_dim(), grid_dim();   unsigned thread(): of the block
//   T& shared<T>()              one T of the block; the type is its name. Not initialised
//   T* dynamic_shared<T>()      the launch's Launch::shared_bytes, aligned to 16
//   sync_block()                all threads of the block that have not returned
//   sync_warp(mask)             orders shared memory among the lanes of mask; shuffles do not
//   shuffle(mask, v, lane), shuffle_xor(mask, v, x), shuffle_up, shuffle_down(mask, v, n)
//   ballot(mask, p), any(mask, p), all(mask, p)
//   launch(name, kernel, Launch, arguments…)                      host; throws: launched.h
// Masks are exact: they name the lanes that come, and no other. Lanes of one collective stand at
// the same place of the source.
//
// Memory
//   load(p), load<Cache::…>(p), store(p, v), store<Cache::…>(p, v)
//       global memory is read and written by these alone. A Pack<T, n> is one access of up to 16
//       bytes, aligned to its size.
//   copy_async(shared, global, bytes = 16)   16 bytes; those from `bytes` on are set to zero
//   copy_async_commit(), copy_async_wait<n>()  the thread waits until n groups are open at most
//   ldmatrix_x4(r, row), ldmatrix_x4_transposed(r, row)   four 8×8 matrices of 2-byte elements;
//       lane 8·m + i has the address of row i of matrix m. Aligned to 16
//
// Arithmetic: in float. bf16 is storage.
//   mma_bf16(d, a, b)   d[16×8] += a[16×16]·b[16×8], bf16 factors; tests/cuda/layouts.h has which
//   mma_tf32(d, a, b)   d[16×8] += a[16×8]·b[8×8]; factors from to_tf32()      lane holds what
//   widen(bf16), round_bf16(float), as_pair(low, high), fast_exp, fast_rsqrt, fast_divide
//
// sm_90.h has the words that sm_80 has not: clusters, barriers in shared memory, bulk copies.
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
