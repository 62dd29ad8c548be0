#pragma once
// Kernels that are wrong on purpose, one for each class of fault.
#include "kernels/cuda/device/types.h"

namespace birkhoff::testing {

enum class Fault {
  none,
  out_of_bounds,         // one element behind a buffer
  out_of_bounds_plain,   // the same, without the vocabulary's store
  plain_access,          // in bounds, without the vocabulary's load
  out_of_bounds_shared,  // one element behind an array
  misaligned,            // 16 bytes at a multiple of 4
  host_memory,           // an address of the host
  wrong_mask,            // the lane itself is not in it
  divergent,             // half a warp does not come to a shuffle
  two_collectives,       // lanes of one mask at two different places
  exited_lane,           // a mask names a lane that has returned
  two_barriers,          // halves of a block at two different sync_block
  deadlock,              // one lane waits for its warp, the warp for the block
  dropped_barrier,       // other warps read what is not yet written
  dropped_sync_warp,     // other lanes read what is not yet written
  uninitialised_shared,
  uninitialised_global,
  two_writers,  // two blocks write one element
  block_reads_block,
  endless_stack,
  // Of sm_90, in a cluster of two blocks (faulty_sm_90.cu).
  harmless_cluster,
  dropped_sync_cluster,  // a peer is read before it has written
  peer_not_begun,        // a peer is written before the first sync_cluster
  peer_returned,         // a peer is read after the last
  peer_out_of_cluster,   // its rank is the cluster's size
  peer_of_global,        // of an address that is not in shared memory
  plain_peer,            // without the vocabulary's load
  two_blocks_write_one,  // block's memory
  two_cluster_barriers,  // the blocks at two different sync_cluster
  cluster_deadlock,      // half a block waits for it, half for the cluster
  bulk_harmless,
  bulk_wrong_parity,   // the wait is for the phase before the first
  bulk_too_few_bytes,  // are expected
  bulk_too_many_bytes,
  bulk_read_before_wait,
  bulk_wrong_thread_waits,  // and tells the others nothing
  bulk_over_what_is_read,   // a buffer is filled again while it is read
  bulk_write_in_flight,     // by a thread, where a copy is under way
  bulk_copies_overlap,
  bulk_misaligned,  // 16 bytes of 4-byte elements, from the second on
  bulk_odd_size,
  bulk_not_waited_for,     // the block returns
  bulk_init_not_fenced,    // a copy ends at a barrier of which its proxy may not know
  bulk_writes_not_fenced,  // a copy goes where threads have written
  mbarrier_not_seen,       // is used by others without a barrier behind its init
  mbarrier_never_made,     // no init
  mbarrier_arrives_twice,  // two arrivals in a phase of one
  mbarrier_phase_skipped,  // a wait for the phase that has not begun
  peer_arrivals_harmless,
  peer_arrival_unseen,      // the wait is not the one for peers
  peer_arrival_too_early,   // before what it is to order
  peer_arrival_not_begun,   // before the first sync_cluster
  peer_arrival_of_nothing,  // its block has made no mbarrier there
};

// p and q have 64 floats each; one block of 64 threads, or two where that is the point.
void run_faulty(Fault fault, float* p, float* q, cudaStream_t stream);
// The faults from harmless_cluster on.
void run_faulty_sm_90(Fault fault, float* p, float* q, cudaStream_t stream);

}  // namespace birkhoff::testing
