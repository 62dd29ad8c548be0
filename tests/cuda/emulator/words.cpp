// Implements kernels/cuda/device/emulated/machine.h, except for launches and matrix products.
#include <cstring>

#include "base/error.h"
#include "kernels/cuda/device/emulated/sm_90.h"
#include "tests/cuda/emulator/cluster.h"
#include "tests/cuda/emulator/device.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/mbarriers.h"
#include "tests/cuda/emulator/shared_memory.h"
#include "tests/cuda/emulator/streams.h"

namespace birkhoff::cuda::emulated {
namespace {

using emulator::AsyncCopy;
using emulator::Block;
using emulator::cluster;
using emulator::heap;
using emulator::observer;
using emulator::shared_memory;
using emulator::SharedMemory;

bool aligned(const void* p, size_t to) { return reinterpret_cast<uintptr_t>(p) % to == 0; }

// Empty if [p, p + bytes) is device memory that is live at this point of the streams' order.
std::string wrong_global(const void* p, size_t bytes) {
  const std::string wrong = heap().wrong_range(p, bytes);
  return wrong.empty() ? emulator::streams().use(p, emulator::device().operation()) : wrong;
}

// Fails unless the running thread may access `bytes` bytes at p at once.
void require_access(const char* word, const void* p, size_t bytes, Where where) {
  if (!aligned(p, bytes))
    cluster().fail(fmt::format("{} of {} bytes at {}: not aligned to them", word, bytes, p), where);
  if (shared_memory().has(p)) {
    if (!shared_memory().allocated(p, bytes))
      cluster().fail(fmt::format("{} of {} bytes at byte {} of shared memory: not declared", word,
                                 bytes, shared_memory().offset(p)),
                     where);
    if (const Block& of = cluster().block(shared_memory().rank(p)); of.barrier.alive == 0)
      cluster().fail(
          fmt::format("{} of {} bytes at byte {} of the shared memory of block {}, which "
                      "has returned",
                      word, bytes, shared_memory().offset(p), emulator::to_string(of.index)),
          where);
    return;
  }
  const std::string wrong = wrong_global(p, bytes);
  if (!wrong.empty()) cluster().fail(fmt::format("{}: {}", word, wrong), where);
}

void observe(const void* p, size_t bytes, bool write, Where where) {
  if (observer()) observer()->access({p, bytes, write, {.where = where}});
}

void land(const AsyncCopy& copy) {
  std::memcpy(copy.to, copy.from, size_t(copy.bytes));
  std::memset(copy.to + copy.bytes, 0, size_t(16 - copy.bytes));
}

}  // namespace

Dim thread_index() { return cluster().current().index; }
Dim block_index() { return cluster().index(); }
Dim block_dim() { return cluster().job().how.block; }
Dim grid_dim() { return cluster().job().how.grid; }
unsigned lane() { return cluster().current().lane(); }

void* shared(const SharedSite& site) {
  void* memory = shared_memory().place(site, cluster().current().rank);
  const size_t declared = shared_memory().static_bytes(), added = cluster().job().how.shared_bytes;
  if (!memory || declared > kStaticSharedBytes || declared + added > cluster().job().most_shared)
    cluster().fail(fmt::format("declares {} bytes of shared memory beside the launch's {}; at most "
                               "{}, {} in all",
                               declared, added, kStaticSharedBytes, cluster().job().most_shared),
                   {});
  return memory;
}
void* dynamic_shared() { return shared_memory().dynamic(cluster().current().rank); }

void barrier(Where where) { cluster().barrier(where); }
void cluster_barrier(Where where) { cluster().cluster_barrier(where); }
unsigned cluster_rank() { return cluster().current().rank; }
unsigned cluster_size() { return cluster().blocks(); }

void* peer(const void* mine, unsigned rank, Where where) {
  const SharedMemory& memory = shared_memory();
  const unsigned of = cluster().current().rank;
  if (!memory.has(mine) || memory.rank(mine) != of || !memory.allocated(mine, 1))
    cluster().fail("peer: not of the block's own shared memory", where);
  if (rank >= cluster().blocks())
    cluster().fail(fmt::format("peer: block {} of a cluster of {}", rank, cluster().blocks()),
                   where);
  return memory.dynamic(rank) + memory.offset(mine);
}
void collective(const Collective& what, void* argument, Where where) {
  cluster().collective(what, argument, where);
}

unsigned vote(const char* name, unsigned mask, bool p, Where where) {
  struct Vote {
    bool mine;
    unsigned all;
  } vote{p, 0};
  const auto exchange = [](void* const* arguments, unsigned lanes) {
    unsigned all = 0;
    for (unsigned i = 0; i < kWarp; ++i)
      if (lanes >> i & 1 && static_cast<Vote*>(arguments[i])->mine) all |= 1u << i;
    for (unsigned i = 0; i < kWarp; ++i)
      if (lanes >> i & 1) static_cast<Vote*>(arguments[i])->all = all;
  };
  collective({name, mask, exchange}, &vote, where);
  return vote.all;
}

void load(void* to, const void* from, size_t bytes, Where where) {
  require_access("load", from, bytes, where);
  observe(from, bytes, false, where);
  std::memcpy(to, from, bytes);
}

void store(void* to, const void* from, size_t bytes, Where where) {
  require_access("store", to, bytes, where);
  observe(to, bytes, true, where);
  std::memcpy(to, from, bytes);
}

// On a device the bytes land at any time between issue and wait; the schedule picks one of the two.
void copy_async(void* shared, const void* global, int bytes, Where where) {
  if (!shared_memory().has(shared) || shared_memory().rank(shared) != cluster().current().rank)
    cluster().fail("copy_async: not to the block's shared memory", where);
  if (bytes < 0 || bytes > 16) cluster().fail(fmt::format("copy_async of {} bytes", bytes), where);
  require_access("copy_async to", shared, 16, where);
  if (!aligned(global, 16)) cluster().fail("copy_async from: not aligned to 16 bytes", where);
  if (bytes > 0) {
    const std::string wrong = wrong_global(global, size_t(bytes));
    if (!wrong.empty()) cluster().fail("copy_async from: " + wrong, where);
    observe(global, size_t(bytes), false, where);
  }
  using emulator::Completion;
  const Completion when = cluster().completion();
  AsyncCopy copy{
      static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes,
      when == Completion::early || (when == Completion::random && cluster().chance().below(2) == 0),
      where};
  if (observer()) observer()->in_flight({shared, 16, true, {.where = where}}, true);
  if (copy.landed) land(copy);
  cluster().current().open.push_back(copy);
}

void copy_async_commit() {
  emulator::Thread& t = cluster().current();
  t.groups.push_back(std::move(t.open));
  t.open.clear();
}

void copy_async_wait(int groups) {
  emulator::Thread& t = cluster().current();
  while (t.groups.size() > size_t(groups)) {
    for (const AsyncCopy& copy : t.groups.front()) {
      if (!copy.landed) land(copy);
      if (observer()) observer()->in_flight({copy.to, 16, true, {.where = copy.where}}, false);
    }
    t.groups.pop_front();
  }
}

void mbarrier_init(Mbarrier* b, unsigned arrivals, Where where) {
  emulator::mbarriers().init(b, arrivals, where);
}
void mbarrier_arrive(Mbarrier* b, unsigned bytes, Where where) {
  emulator::mbarriers().arrive(b, bytes, where);
}
void mbarrier_arrive_at_peer(const Mbarrier* mine, unsigned rank, Where where) {
  emulator::mbarriers().arrive_at_peer(peer(mine, rank, where), where);
}
void mbarrier_wait(const MbarrierWait& what, Where where) {
  emulator::mbarriers().wait(what, where);
}

void fence_async() {
  if (observer()) observer()->fence();
}

void copy_bulk(void* shared, const void* global, unsigned bytes, Mbarrier* b, Where where) {
  const SharedMemory& memory = shared_memory();
  const auto fail = [&](const std::string& what) { cluster().fail("copy_bulk" + what, where); };
  if (bytes == 0 || bytes % 16 != 0) fail(fmt::format(" of {} bytes", bytes));
  if (!aligned(shared, 16) || !aligned(global, 16)) fail(": not aligned to 16 bytes");
  if (!memory.has(shared) || memory.rank(shared) != cluster().current().rank ||
      !memory.allocated(shared, bytes))
    fail(" to: not the block's shared memory");
  const std::string wrong = wrong_global(global, bytes);
  if (!wrong.empty()) fail(" from: " + wrong);
  observe(global, bytes, false, where);
  emulator::mbarriers().copy(
      {static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes, b, where});
}

}  // namespace birkhoff::cuda::emulated
