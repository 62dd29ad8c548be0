#pragma once
// Words that sm_80 has not, for kernels in folders named sm_90, which CMake compiles for sm_90a and
// above alone. As in device.h: nvidia/ is one PTX instruction a word, emulated/ does the same on a
// CPU. Emulated; not yet run on a GPU.
//
// Clusters (PTX ISA 9.0, "Cluster of Cooperative Thread Arrays"): Launch::cluster blocks that run
// at the same time
//   unsigned cluster_rank(), cluster_size()    the block's number in its cluster; of how many
//   sync_cluster()          all threads of all blocks of the cluster that have not returned. Orders
//                           their memory
//   T* peer(T* p, rank)     what p is in this block's shared memory, in that of block `rank`. Read
//                           and written by load and store alone, behind a sync_cluster (the peer
//                           has begun then) and before one that the peer comes to (it may return
//                           then)
//
// Barriers in shared memory, and copies that end at them ("mbarrier", "cp.async.bulk")
//   mbarrier_init(b, arrivals)          a phase ends with so many arrivals and all bytes that were
//                                       expected; then the next begins. Others use b behind a
//                                       barrier, copies behind fence_async too
//   mbarrier_arrive(b), mbarrier_arrive_expect(b, bytes)    what was done before is ordered
//   mbarrier_wait(b, parity)            before what comes behind the wait for that phase; phases
//                                       have the parities 0, 1, 0, …, and parity 1 waits for none
//                                       at first
//   mbarrier_arrive_at_peer(b, rank)    at what b is in the shared memory of block `rank`, this one
//                                       or another: behind a sync_cluster, as peer(). What was done
//                                       before is ordered, in the whole cluster, before what comes
//   mbarrier_wait_for_peers(b, parity)  behind this wait, which is the one where peers arrive
//   copy_bulk(shared, global, bytes, b) one thread's: bytes and both addresses are multiples of 16.
//                                       They are in flight until b's phase ends, which is told of
//                                       them as they land
//   fence_async()                       orders the thread's loads and stores of shared memory, and
//                                       mbarrier_init, before copies that come behind it
#include "kernels/cuda/device/device.h"

#if defined(__CUDACC__)
#include "kernels/cuda/device/nvidia/sm_90.h"
#else
#include "kernels/cuda/device/emulated/sm_90.h"
#endif
