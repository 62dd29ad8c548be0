#pragma once
// Types and limits shared by nvidia/, emulated/ and host code.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "base/bf16.h"

namespace birkhoff::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kFullMask = 0xFFFFFFFFu;
inline constexpr unsigned kMaxThreads = 1024;  // per block
// Shared memory per block: the limit on static memory, and on the total without allow_shared().
inline constexpr size_t kStaticSharedBytes = 48 * 1024;
inline constexpr size_t kMaxSharedBytes = 163 * 1024;         // total per block on sm_80
inline constexpr size_t kMaxClusterSharedBytes = 227 * 1024;  // the same on sm_90
inline constexpr unsigned kMaxCluster = 8;  // blocks per cluster that every sm_90 device supports

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

struct Launch {
  Dim grid, block;
  unsigned cluster = 1;  // consecutive blocks along x that form a cluster; above 1 needs sm_90
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

// Limit on the shared memory of a block of this launch.
constexpr size_t most_shared_bytes(const Launch& how) {
  return how.cluster > 1 ? kMaxClusterSharedBytes : kMaxSharedBytes;
}

// kN elements that are loaded or stored as one access.
template <class T, int kN>
struct alignas(sizeof(T) * kN) Pack {
  T v[kN];
};

// Cache hints of a load or store.
enum class Cache {
  normal,
  streaming,  // accessed once: evicted first
  constant,   // not written while the kernel runs: uses the read-only path
};

// A barrier in shared memory (sm_90). Its bits are opaque.
struct alignas(8) Mbarrier {
  uint64_t bits;
};

// One lane's registers of the fragments of a warp's matrix product.
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
