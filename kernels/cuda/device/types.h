#pragma once
// What both branches of the vocabulary and host code know.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "base/bf16.h"

namespace birkhoff::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kFullMask = 0xFFFFFFFFu;
inline constexpr unsigned kMaxThreads = 1024;  // of a block
// Of a block: what a kernel may declare, and have in all without asking (allow_shared).
inline constexpr size_t kStaticSharedBytes = 48 * 1024;
inline constexpr size_t kMaxSharedBytes = 163 * 1024;         // in all, on sm_80
inline constexpr size_t kMaxClusterSharedBytes = 227 * 1024;  // where there are clusters: sm_90
inline constexpr unsigned kMaxCluster = 8;                    // blocks, on any device that has them

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

struct Launch {
  Dim grid, block;
  unsigned cluster = 1;  // blocks side by side along x that run together; above 1: sm_90
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

// That a launch may have of it.
constexpr size_t most_shared_bytes(const Launch& how) {
  return how.cluster > 1 ? kMaxClusterSharedBytes : kMaxSharedBytes;
}

// n elements as one access.
template <class T, int kN>
struct alignas(sizeof(T) * kN) Pack {
  T v[kN];
};

// Hints: how long a value is wanted.
enum class Cache {
  normal,
  streaming,  // read or written once: first to be evicted
  constant,   // not written while the kernel runs: by the read-only path
};

// A barrier in shared memory, whose bits are the machine's own. Of sm_90.
struct alignas(8) Mbarrier {
  uint64_t bits;
};

// Fragments of a warp's matrix product, as registers of one lane.
struct MmaA {
  uint32_t r[4];
};
struct MmaB {
  uint32_t r[2];
};
struct MmaD {
  float v[4];
};

}  // namespace birkhoff::cuda
