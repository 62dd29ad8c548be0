#pragma once
// For nvcc: clusters, mbarriers, bulk copies (contract: ../sm_90.h).
#include "kernels/cuda/device/nvidia/memory.h"

namespace birkhoff::cuda {

__device__ __forceinline__ unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ unsigned cluster_size() {
  unsigned size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}
__device__ __forceinline__ void sync_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n\t"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

template <class T>
__device__ __forceinline__ T* peer(T* mine, unsigned rank) {
  T* theirs;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(mine), "r"(rank));
  return theirs;
}

__device__ __forceinline__ void mbarrier_init(Mbarrier* b, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals)
               : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* b) {
  asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(b))
               : "memory");
}
__device__ __forceinline__ void mbarrier_arrive_expect(Mbarrier* b, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)),
      "r"(bytes)
      : "memory");
}
__device__ __forceinline__ void mbarrier_wait(Mbarrier* b, unsigned parity) {
  asm volatile(
      "{\n\t"
      ".reg .pred ended;\n\t"
      "WAIT_%=:\n\t"
      "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 ended, [%0], %1;\n\t"
      "@!ended bra WAIT_%=;\n\t"
      "}" ::"r"(shared_address(b)),
      "r"(parity)
      : "memory");
}

__device__ __forceinline__ void mbarrier_arrive_at_peer(Mbarrier* b, unsigned rank) {
  asm volatile(
      "{\n\t"
      ".reg .b32 theirs;\n\t"
      "mapa.shared::cluster.u32 theirs, %0, %1;\n\t"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [theirs];\n\t"
      "}" ::"r"(shared_address(b)),
      "r"(rank)
      : "memory");
}
__device__ __forceinline__ void mbarrier_wait_for_peers(Mbarrier* b, unsigned parity) {
  asm volatile(
      "{\n\t"
      ".reg .pred ended;\n\t"
      "WAIT_%=:\n\t"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ended, [%0], %1;\n\t"
      "@!ended bra WAIT_%=;\n\t"
      "}" ::"r"(shared_address(b)),
      "r"(parity)
      : "memory");
}

__device__ __forceinline__ void copy_bulk(void* to, const void* from, unsigned bytes, Mbarrier* b) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(b))
      : "memory");
}
__device__ __forceinline__ void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace birkhoff::cuda
