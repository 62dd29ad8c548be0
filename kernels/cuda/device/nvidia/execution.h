#pragma once
// For nvcc: indices, shared memory, barriers, warp collectives, launches (contract: ../device.h).
#include <cuda_runtime.h>

#include <tuple>
#include <type_traits>

#include "kernels/cuda/device/launched.h"
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

inline __device__ Dim thread_index() { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
inline __device__ Dim block_index() { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
inline __device__ Dim block_dim() { return {blockDim.x, blockDim.y, blockDim.z}; }
inline __device__ Dim grid_dim() { return {gridDim.x, gridDim.y, gridDim.z}; }
inline __device__ unsigned thread() {
  return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

template <class T>
__device__ __forceinline__ T& shared() {
  static_assert(std::is_trivially_default_constructible_v<T>);
  __shared__ T memory;
  return memory;
}

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char birkhoff_dynamic_shared[];
  return reinterpret_cast<T*>(birkhoff_dynamic_shared);
}

__device__ __forceinline__ void sync_block() { __syncthreads(); }
__device__ __forceinline__ void sync_warp(unsigned mask) { __syncwarp(mask); }

template <class T>
__device__ __forceinline__ T shuffle(unsigned mask, T value, unsigned lane) {
  return __shfl_sync(mask, value, int(lane));
}
template <class T>
__device__ __forceinline__ T shuffle_xor(unsigned mask, T value, unsigned lanes) {
  return __shfl_xor_sync(mask, value, int(lanes));
}
template <class T>
__device__ __forceinline__ T shuffle_up(unsigned mask, T value, unsigned lanes) {
  return __shfl_up_sync(mask, value, lanes);
}
template <class T>
__device__ __forceinline__ T shuffle_down(unsigned mask, T value, unsigned lanes) {
  return __shfl_down_sync(mask, value, lanes);
}

__device__ __forceinline__ unsigned ballot(unsigned mask, bool p) { return __ballot_sync(mask, p); }
__device__ __forceinline__ bool any(unsigned mask, bool p) { return __any_sync(mask, p) != 0; }
__device__ __forceinline__ bool all(unsigned mask, bool p) { return __all_sync(mask, p) != 0; }

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), const Launch& how, A... arguments) {
  const auto address = reinterpret_cast<const void*>(kernel);
  allow_shared(name, address, how);
  cudaLaunchAttribute in_clusters{};
  in_clusters.id = cudaLaunchAttributeClusterDimension;
  in_clusters.val.clusterDim = {how.cluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(how.grid.x, how.grid.y, how.grid.z);
  config.blockDim = dim3(how.block.x, how.block.y, how.block.z);
  config.dynamicSmemBytes = how.shared_bytes;
  config.stream = how.stream;
  config.attrs = &in_clusters;
  config.numAttrs = how.cluster > 1 ? 1 : 0;
  std::tuple<P...> values{P(arguments)...};
  const auto run = [&](auto&... value) {
    void* pointers[] = {&value..., nullptr};  // an array must not be empty
    return cudaLaunchKernelExC(&config, address, pointers);
  };
  require_launched(name, std::apply(run, values));
}

}  // namespace birkhoff::cuda
