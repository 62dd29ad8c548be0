#include "tests/cuda/emulator/mbarriers.h"

#include <cstring>
#include <utility>

#include "base/format.h"
#include "tests/cuda/emulator/cluster.h"
#include "tests/cuda/emulator/shared_memory.h"

namespace birkhoff::emulator {
namespace {

constexpr unsigned kMostArrivals = (1u << 20) - 1;  // PTX's limit on arrivals, and on bytes

bool in_own_memory(const void* b) {
  const SharedMemory& memory = shared_memory();
  return reinterpret_cast<uintptr_t>(b) % sizeof(cuda::Mbarrier) == 0 && memory.has(b) &&
         memory.rank(b) == cluster().current().rank && memory.allocated(b, sizeof(cuda::Mbarrier));
}

void observe(const void* b, bool write, Where where) {
  if (observer()) observer()->access({b, sizeof(cuda::Mbarrier), write, {.where = where}});
}

}  // namespace

Mbarriers& mbarriers() {
  static Mbarriers all;
  return all;
}

void Mbarriers::init(const void* b, unsigned arrivals, Where where) {
  if (!in_own_memory(b))
    cluster().fail("mbarrier_init: not 8 bytes of the block's shared memory", where);
  if (arrivals == 0 || arrivals > kMostArrivals)
    cluster().fail(fmt::format("mbarrier_init: {} arrivals", arrivals), where);
  if (all_.size() == kMost)
    cluster().fail(fmt::format("mbarrier_init: more than {} in a cluster", kMost), where);
  const Barrier made{.number = unsigned(all_.size()), .expected = arrivals, .pending = arrivals};
  if (!all_.try_emplace(b, made).second) cluster().fail("mbarrier_init: it is one already", where);
  observe(b, true, where);
}

Mbarriers::Barrier& Mbarriers::in_cluster(const char* word, const void* b, Where where) {
  const auto found = all_.find(b);
  if (found == all_.end())
    cluster().fail(fmt::format("{}: no mbarrier_init of the block has made it one", word), where);
  observe(b, false, where);
  return found->second;
}

Mbarriers::Barrier& Mbarriers::at(const char* word, const void* b, Where where) {
  if (!in_own_memory(b))
    cluster().fail(fmt::format("{}: not in the block's shared memory", word), where);
  return in_cluster(word, b, where);
}

void Mbarriers::come(Barrier& barrier, Where where) {
  if (barrier.pending == 0)
    cluster().fail(fmt::format("mbarrier_arrive: more arrivals than its {} in phase {}",
                               barrier.expected, barrier.phase),
                   where);
  --barrier.pending;
  if (observer()) observer()->arrive(barrier.number);
  end_phase_if_complete(barrier);
}

void Mbarriers::arrive(const void* b, unsigned bytes, Where where) {
  Barrier& barrier = at("mbarrier_arrive", b, where);
  barrier.bytes += bytes;
  if (barrier.bytes > kMostArrivals)
    cluster().fail(fmt::format("mbarrier_arrive_expect: {} bytes in all", barrier.bytes), where);
  come(barrier, where);
}

void Mbarriers::arrive_at_peer(const void* b, Where where) {
  Barrier& barrier = in_cluster("mbarrier_arrive_at_peer", b, where);
  barrier.of_peers |= !in_own_memory(b);
  require_scope(barrier, where);
  come(barrier, where);
}

void Mbarriers::require_scope(const Barrier& b, Where where) const {
  if (b.of_peers && b.waited_alone)
    cluster().fail(
        "an mbarrier at which peers arrive is waited for by mbarrier_wait, which does "
        "not see what they did; mbarrier_wait_for_peers does",
        where);
}

void Mbarriers::end_phase_if_complete(Barrier& b) {
  if (b.pending != 0 || b.bytes != 0) return;
  b.pending = b.expected;
  ++b.phase;
  if (observer()) observer()->phase_ends(b.number, b.phase);
  for (const unsigned thread : std::exchange(b.waiting, {})) cluster().wake(thread);
}

void Mbarriers::wait(const cuda::emulated::MbarrierWait& what, Where where) {
  const char* word = what.for_peers ? "mbarrier_wait_for_peers" : "mbarrier_wait";
  Barrier& barrier = at(word, what.b, where);
  Cluster& c = cluster();
  if (what.parity > 1) c.fail(fmt::format("{}: a parity of {}", word, what.parity), where);
  barrier.waited_alone |= !what.for_peers;
  require_scope(barrier, where);
  if (c.completion() == Completion::random && !flying_.empty() && c.chance().below(2) == 0)
    land(size_t(c.chance().below(flying_.size())));
  while (barrier.phase % 2 == what.parity) {
    barrier.waiting.push_back(c.number(c.current()));
    c.wait(word, where);
  }
  if (observer()) observer()->acquire(barrier.number);
}

void Mbarriers::copy(const BulkCopy& copy) {
  Barrier& barrier = at("copy_bulk", copy.barrier, copy.where);
  if (observer())
    observer()->bulk_copy({copy.to, copy.bytes, true, {.where = copy.where}}, copy.barrier,
                          barrier.number, barrier.phase + 1);
  flying_.push_back(copy);
  const Completion when = cluster().completion();
  if (when == Completion::early || (when == Completion::random && cluster().chance().below(2) == 0))
    land(flying_.size() - 1);
}

void Mbarriers::land(size_t which) {
  const BulkCopy copy = flying_[which];
  flying_.erase(flying_.begin() + long(which));
  std::memcpy(copy.to, copy.from, copy.bytes);
  Barrier& barrier = all_.at(copy.barrier);
  barrier.bytes -= copy.bytes;
  end_phase_if_complete(barrier);
}

// The last one lands first, so that the first one is as late as possible.
bool Mbarriers::land() {
  if (flying_.empty()) return false;
  land(flying_.size() - 1);
  return true;
}

std::string Mbarriers::lacking() const {
  std::string text;
  for (const auto& [address, b] : all_)
    if (!b.waiting.empty())
      text += fmt::format(
          "; phase {} of the mbarrier at byte {} of shared memory lacks {} arrivals "
          "and {} bytes",
          b.phase, shared_memory().offset(address), b.pending, b.bytes);
  return text;
}

std::string Mbarriers::under_way() const {
  if (flying_.empty()) return "";
  return fmt::format("returns while a copy of {} bytes at {} is under way", flying_.front().bytes,
                     to_string(flying_.front().where));
}

}  // namespace birkhoff::emulator
