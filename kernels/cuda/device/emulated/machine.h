#pragma once
// What the emulated half of the vocabulary asks of the machine. tests/cuda/emulator/ implements it;
// nothing of it is in the engine's binary.
//
// All of these but launch() are called by a kernel's thread. A fault (misaligned, out of bounds, a
// lane that is missing) does not return: the launch ends, and the call that ran it throws.
#include <functional>
#include <source_location>

#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda::emulated {

using Where = std::source_location;  // the line of the kernel, in messages

Dim thread_index();
Dim block_index();
Dim block_dim();
Dim grid_dim();
unsigned lane();

// The block's memory for a declaration; `site` is one object a declaration.
struct SharedSite {
  size_t bytes, alignment;
};
void* shared(const SharedSite& site);
void* dynamic_shared();

void barrier(Where where);

unsigned cluster_rank();
unsigned cluster_size();
void cluster_barrier(Where where);
void* peer(const void* mine, unsigned rank, Where where);

// Done once, by the lane that comes last: arguments[lane] of the lanes in mask.
using Exchange = void (*)(void* const* arguments, unsigned mask);
struct Collective {
  const char* name;
  unsigned mask;
  Exchange exchange;
  bool orders_memory = false;
};
void collective(const Collective& what, void* argument, Where where);

// One access of `bytes`, aligned to them. Global or shared memory.
void load(void* to, const void* from, size_t bytes, Where where);
void store(void* to, const void* from, size_t bytes, Where where);

void copy_async(void* shared, const void* global, int bytes, Where where);
void copy_async_commit();
void copy_async_wait(int groups);

void mbarrier_init(Mbarrier* b, unsigned arrivals, Where where);
void mbarrier_arrive(Mbarrier* b, unsigned bytes, Where where);  // and expects so many
void mbarrier_arrive_at_peer(const Mbarrier* mine, unsigned rank, Where where);
struct MbarrierWait {
  const Mbarrier* b;
  unsigned parity;
  bool for_peers;  // sees what other blocks did before they arrived
};
void mbarrier_wait(const MbarrierWait& what, Where where);
void copy_bulk(void* shared, const void* global, unsigned bytes, Mbarrier* b, Where where);

void ldmatrix_x4(uint32_t* r, const void* row, bool transposed, Where where);
void mma_bf16(MmaD& d, const MmaA& a, const MmaB& b, Where where);
void mma_tf32(MmaD& d, const MmaA& a, const MmaB& b, Where where);

// Behind what is in the stream, or not at all: then it says why. `body` is called once a thread.
cudaError_t launch(const char* name, const void* kernel, const Launch& how,
                   std::function<void()> body);

}  // namespace birkhoff::cuda::emulated
