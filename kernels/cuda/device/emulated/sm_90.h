#pragma once
// For g++: clusters, mbarriers, bulk copies (contract: ../sm_90.h).
#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::cuda {

namespace emulated {

void fence_async();  // only informs the checker: the emulator does everything in order

}  // namespace emulated

using emulated::cluster_rank;
using emulated::cluster_size;

inline void sync_cluster(emulated::Where where = emulated::Where::current()) {
  emulated::cluster_barrier(where);
}
template <class T>
T* peer(T* mine, unsigned rank, emulated::Where where = emulated::Where::current()) {
  return static_cast<T*>(emulated::peer(mine, rank, where));
}

inline void mbarrier_init(Mbarrier* b, unsigned arrivals,
                          emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_init(b, arrivals, where);
}
inline void mbarrier_arrive(Mbarrier* b, emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_arrive(b, 0, where);
}
inline void mbarrier_arrive_expect(Mbarrier* b, unsigned bytes,
                                   emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_arrive(b, bytes, where);
}
inline void mbarrier_arrive_at_peer(Mbarrier* b, unsigned rank,
                                    emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_arrive_at_peer(b, rank, where);
}
inline void mbarrier_wait(Mbarrier* b, unsigned parity,
                          emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_wait({b, parity, false}, where);
}
inline void mbarrier_wait_for_peers(Mbarrier* b, unsigned parity,
                                    emulated::Where where = emulated::Where::current()) {
  emulated::mbarrier_wait({b, parity, true}, where);
}

inline void copy_bulk(void* to, const void* from, unsigned bytes, Mbarrier* b,
                      emulated::Where where = emulated::Where::current()) {
  emulated::copy_bulk(to, from, bytes, b, where);
}
inline void fence_async() { emulated::fence_async(); }

}  // namespace birkhoff::cuda
