#pragma once
// For nvcc: loads, stores, asynchronous copies (contract: ../device.h).
#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// The register type of an access of kBytes bytes.
template <size_t kBytes>
struct Word;
template <>
struct Word<2> {
  using type = unsigned short;
};
template <>
struct Word<4> {
  using type = unsigned;
};
template <>
struct Word<8> {
  using type = uint2;
};
template <>
struct Word<16> {
  using type = uint4;
};

template <Cache kCache = Cache::normal, class T>
__device__ __forceinline__ T load(const T* p) {
  using W = typename Word<sizeof(T)>::type;
  const W* from = reinterpret_cast<const W*>(p);
  W word;
  if constexpr (kCache == Cache::constant)
    word = __ldg(from);
  else if constexpr (kCache == Cache::streaming)
    word = __ldcs(from);
  else
    word = *from;
  T value;
  memcpy(&value, &word, sizeof value);
  return value;
}

template <Cache kCache = Cache::normal, class T>
__device__ __forceinline__ void store(T* p, std::type_identity_t<T> value) {
  static_assert(kCache != Cache::constant);
  using W = typename Word<sizeof(T)>::type;
  W word;
  memcpy(&word, &value, sizeof value);
  if constexpr (kCache == Cache::streaming)
    __stcs(reinterpret_cast<W*>(p), word);
  else
    *reinterpret_cast<W*>(p) = word;
}

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return unsigned(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void copy_async(void* to, const void* from, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kGroups>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

}  // namespace birkhoff::cuda
