#pragma once
// The interface of the emulated device, on which the rest of this folder is built.
// tests/cuda/emulator/ implements it; none of it is in the engine's binary.
//
// All functions but launch() are called by a kernel's threads. A fault (misaligned, out of bounds,
// a missing lane) does not return: the launch ends, and the call that ran it throws.
#include <functional>
#include <source_location>

#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda::emulated {

using Where = std::source_location;  // the kernel's source line, for messages

Dim thread_index();
Dim block_index();
Dim block_dim();
Dim grid_dim();
unsigned lane();

// The block's shared memory of one declaration, which is identified by its `site` object.
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

// Executes a collective: the last lane to arrive calls it once, with arguments[lane] of each lane
// in mask.
using Exchange = void (*)(void* const* arguments, unsigned mask);
struct Collective {
  const char* name;
  unsigned mask;
  Exchange exchange;
  bool orders_memory = false;
};
void collective(const Collective& what, void* argument, Where where);

// One access of `bytes` bytes, aligned to its size, to global or shared memory.
void load(void* to, const void* from, size_t bytes, Where where);
void store(void* to, const void* from, size_t bytes, Where where);

void copy_async(void* shared, const void* global, int bytes, Where where);
void copy_async_commit();
void copy_async_wait(int groups);

void mbarrier_init(Mbarrier* b, unsigned arrivals, Where where);
void mbarrier_arrive(Mbarrier* b, unsigned bytes, Where where);  // expects `bytes`, then arrives
void mbarrier_arrive_at_peer(const Mbarrier* mine, unsigned rank, Where where);
struct MbarrierWait {
  const Mbarrier* b;
  unsigned parity;
  bool for_peers;  // makes visible what other blocks did before they arrived
};
void mbarrier_wait(const MbarrierWait& what, Where where);
void copy_bulk(void* shared, const void* global, unsigned bytes, Mbarrier* b, Where where);

void ldmatrix_x4(uint32_t* r, const void* row, bool transposed, Where where);
void mma_bf16(MmaD& d, const MmaA& a, const MmaB& b, Where where);
void mma_tf32(MmaD& d, const MmaA& a, const MmaB& b, Where where);

// Runs after the work already in the stream, calling `body` once per thread. If the launch is
// rejected, nothing runs and the status says why.
cudaError_t launch(const char* name, const void* kernel, const Launch& how,
                   std::function<void()> body);

}  // namespace birkhoff::cuda::emulated
