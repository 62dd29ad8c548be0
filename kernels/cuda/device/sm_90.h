#pragma once
// The functions that sm_80 lacks, for kernels in folders named sm_90, which CMake compiles only for
// sm_90a and above. As in device.h, nvidia/ is one PTX instruction per function and emulated/ does
// the same on a CPU. Emulated; not yet run on a GPU.
//
// Clusters (PTX ISA 9.0, "Cluster of Cooperative Thread Arrays"): groups of Launch::cluster blocks
// that run at the same time
//   unsigned cluster_rank(), cluster_size()    the block's number in its cluster; blocks in it
//   sync_cluster()          barrier for all threads of the cluster that have not returned; orders
//                           their memory accesses
//   T* peer(T* p, rank)     maps p from this block's shared memory to the same object of block
//                           `rank` (distributed shared memory). Only load and store may access it:
//                           after a sync_cluster, which shows that the peer has started, and before
//                           another that the peer takes part in, after which it may return
//
// Barriers in shared memory, and the copies that complete on them ("mbarrier", "cp.async.bulk")
//   mbarrier_init(b, arrivals)          A phase completes after this many arrivals and all expected
//                                       bytes, and the next one begins. Other threads may use b
//                                       after a barrier; copies also need a fence_async
//   mbarrier_arrive(b), mbarrier_arrive_expect(b, bytes)    Arrive. The thread's earlier accesses
//                                       are ordered before those that follow a wait for the phase
//   mbarrier_wait(b, parity)            Waits for the phase of this parity. Phases have parities 0,
//                                       1, 0, …; at first, a wait for parity 1 returns at once
//   mbarrier_arrive_at_peer(b, rank)    Arrives at block `rank`'s copy of b, which may be this
//                                       block's own; after a sync_cluster, as for peer(). The
//                                       thread's earlier accesses are ordered, in the whole
//                                       cluster, before those that follow
//   mbarrier_wait_for_peers(b, parity)  the wait for a barrier at which peers arrive
//   copy_bulk(shared, global, bytes, b) Called by one thread. The byte count and both addresses are
//                                       multiples of 16. The copy is in flight until b's phase
//                                       completes; b counts its bytes as they land
//   fence_async()                       orders the thread's accesses of shared memory, and its
//                                       mbarrier_init, before later bulk copies
#include "kernels/cuda/device/device.h"

#if defined(__CUDACC__)
#include "kernels/cuda/device/nvidia/sm_90.h"
#else
#include "kernels/cuda/device/emulated/sm_90.h"
#endif
