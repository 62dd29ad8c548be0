#pragma once
// Kernels with deliberate errors, one for each class of fault.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

enum class Fault {
  none,
  out_of_bounds,         // stores one element past a buffer
  out_of_bounds_plain,   // the same, not through store()
  plain_access,          // reads in bounds, but not through load()
  out_of_bounds_shared,  // writes one element past an array
  misaligned,            // 16 bytes at an address that is a multiple of 4
  host_memory,           // stores to a host address
  wrong_mask,            // does not contain the lane itself
  divergent,             // half a warp does not reach a shuffle
  two_collectives,       // lanes of one mask at two different source lines
  exited_lane,           // a mask contains a lane that has returned
  two_barriers,          // halves of a block at two different sync_block
  deadlock,              // a lane waits for its warp, and the warp for the block
  dropped_barrier,       // other warps read data that may not be written yet
  dropped_sync_warp,     // other lanes read data that may not be written yet
  uninitialised_shared,
  uninitialised_global,
  two_writers,  // two blocks write one element
  block_reads_block,
  endless_stack,
  // On sm_90, in a cluster of two blocks (faulty_sm_90.cu).
  harmless_cluster,
  dropped_sync_cluster,  // a peer is read before it has written
  peer_not_begun,        // a peer is written before the first sync_cluster
  peer_returned,         // a peer is read after the last sync_cluster
  peer_out_of_cluster,   // the peer's rank is the cluster's size
  peer_of_global,        // peer() of an address that is not in shared memory
  plain_peer,            // a peer is read, but not through load()
  two_blocks_write_one,  // two blocks write the same shared memory
  two_cluster_barriers,  // the blocks are at two different sync_cluster
  cluster_deadlock,      // half a block waits for the block, half for the cluster
  bulk_harmless,
  bulk_wrong_parity,   // waits for the phase before the first
  bulk_too_few_bytes,  // fewer bytes are expected than copied
  bulk_too_many_bytes,
  bulk_read_before_wait,
  bulk_wrong_thread_waits,  // one thread waits, and does not synchronise with the others
  bulk_over_what_is_read,   // a buffer is refilled while it is read
  bulk_write_in_flight,     // a thread writes where a copy is in flight
  bulk_copies_overlap,
  bulk_misaligned,  // 16 bytes from the second 4-byte element on
  bulk_odd_size,
  bulk_not_waited_for,     // the block returns while a copy is in flight
  bulk_init_not_fenced,    // a copy completes on a barrier whose init is not fenced
  bulk_writes_not_fenced,  // a copy overwrites unfenced writes of threads
  mbarrier_not_seen,       // others use an mbarrier without a barrier after its init
  mbarrier_never_made,     // no init
  mbarrier_arrives_twice,  // two arrivals in a phase that expects one
  mbarrier_phase_skipped,  // a wait for a phase that nothing completes
  peer_arrivals_harmless,
  peer_arrival_unseen,      // the wait is not the one for peers
  peer_arrival_too_early,   // arrives before the store that it should order
  peer_arrival_not_begun,   // arrives before the first sync_cluster
  peer_arrival_of_nothing,  // the peer has no mbarrier there
};

// p and q have 64 floats each. Runs one block of 64 threads, or two if the fault needs them.
void run_faulty(Fault fault, float* p, float* q, cudaStream_t stream);
// The faults from harmless_cluster on.
void run_faulty_sm_90(Fault fault, float* p, float* q, cudaStream_t stream);

}  // namespace birkhoff::testing
