#include "tests/cuda/checker/checker.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "tests/cuda/emulator/cluster.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/streams.h"

namespace birkhoff::emulator {
namespace {

constexpr size_t kMostFindings = 4;  // in one message
constexpr unsigned kWarpsOfBlock = cuda::kMaxThreads / cuda::kWarp;
constexpr const char* kTransfer = "a copy or fill";

}  // namespace

Checker& checker() {
  static Checker the_checker;
  return the_checker;
}

void Checker::begin_kernel(const char* name, uint32_t operation) {
  kernel_ = name, operation_ = operation;
}

void Checker::begin_cluster(unsigned first, unsigned blocks, unsigned threads) {
  first_block_ = first, blocks_ = blocks, threads_ = threads;
  clocks_.begin(blocks * threads);
  shadow_.begin_cluster();
  for (auto& visits : visits_) visits.clear();
  for (Released& r : released_) r = {};
}

// Some thread of the block must have seen each visit.
void Checker::block_returns(unsigned rank) {
  for (const auto& [key, visit] : visits_[rank]) {
    bool known = false;
    for (unsigned t = rank * threads_; t < (rank + 1) * threads_ && !known; ++t)
      known = clocks_.knows(t, visit.mark.thread, visit.mark.clock);
    if (!known)
      find(of_copy(visit.mark) ? "may change a block that has returned"
                               : "touches a block that may have returned",
           visit.p, visit.mark);
  }
}

void Checker::end_cluster() {
  Cost global, shared;
  requests_.end_cluster(global, shared);
  traffic_.sectors += global.spent, traffic_.fewest_sectors += global.fewest;
  traffic_.wavefronts += shared.spent, traffic_.fewest_wavefronts += shared.fewest;
}

void Checker::end_kernel() {
  report();
  kernel_ = kTransfer;
}

void Checker::report() {
  if (!findings_.empty()) set_fault(findings_);
  findings_.clear(), found_.clear();
}

Mark Checker::mark(const Site& site) {
  const Thread& t = cluster().current();
  const unsigned thread = cluster().number(t);
  return {operation_, first_block_ + t.rank, thread, clocks_.now(thread), sites_.index(site)};
}

// Whether a bulk copy made the access; its column of the clocks is that of its mbarrier.
bool Checker::of_copy(const Mark& m) const {
  return m.operation == operation_ && in_cluster(m) && m.thread >= blocks_ * threads_;
}

bool Checker::ordered(const Mark& before, const Mark& now) const {
  if (before.operation == 0) return true;
  if (before.operation != now.operation) return streams().ordered(before.operation, now.operation);
  // The same thread, or the same transfer.
  if (before.block == now.block && before.thread == now.thread) return true;
  return in_cluster(before) && clocks_.knows(now.thread, before.thread, before.clock);
}

// An access to the shared memory of another block.
void Checker::visit(const Access& a, const Mark& now) {
  const unsigned rank = shared_memory().rank(a.address);
  if (!clocks_.knows(now.thread, rank * threads_, 1))
    find("touches a block that may not have begun", a.address, now);
  visits_[rank].try_emplace({now.thread, now.clock, now.site}, Visit{now, a.address});
  (a.write ? traffic_.peer_written : traffic_.peer_read) += a.bytes;
}

void Checker::access(const Access& a) {
  const Mark now = mark(a.site);
  if (shared_memory().has(a.address) && shared_memory().rank(a.address) != cluster().current().rank)
    visit(a, now);
  else
    count(a, now.site);
  const auto* p = static_cast<const std::byte*>(a.address);
  shadow_.each(a.address, a.bytes, [&](Cell& cell) {
    a.write ? write(cell, now, p) : read(cell, now, p);
    ++p;
  });
}

void Checker::plain_access(const Access& a) {
  if (shared_memory().has(a.address)) {
    if (!shared_memory().allocated(a.address, a.bytes))
      find("memory that was not declared", a.address, mark(a.site));
    if (shared_memory().rank(a.address) != cluster().current().rank)
      find("another block's shared memory without load or store", a.address, mark(a.site));
    access(a);
  } else if (heap().has(a.address)) {
    find("device memory without load or store", a.address, mark(a.site));
  }
}

void Checker::read(Cell& cell, const Mark& now, const void* p) {
  if (cell.in_flight || (of_copy(cell.written) && !ordered(cell.written, now)))
    find("reads what a copy is still bringing", p, now, &cell.written);
  else if (!cell.initialised)
    find("reads what nobody has set", p, now);
  else if (!ordered(cell.written, now))
    find("reads while it is written", p, now, &cell.written);
  // Forget earlier reads that this one has seen: a write that is ordered after this read is ordered
  // after those too. Of the reads by other clusters, one represents all.
  bool other_cluster = false;
  const auto known = [&](const Mark& m) {
    if (ordered(m, now)) return true;
    if (m.operation != now.operation || in_cluster(m)) return false;
    return std::exchange(other_cluster, true);
  };
  cell.read.erase(std::remove_if(cell.read.begin(), cell.read.end(), known), cell.read.end());
  cell.read.push_back(now);
}

void Checker::write(Cell& cell, const Mark& now, const void* p) {
  if (cell.in_flight || (of_copy(cell.written) && !ordered(cell.written, now)))
    find("writes where a copy is under way", p, now, &cell.written);
  else if (!ordered(cell.written, now))
    find("writes what is written", p, now, &cell.written);
  for (const Mark& m : cell.read)
    if (!ordered(m, now)) find("writes while it is read", p, now, &m);
  cell.read.clear();
  cell.written = now;
  cell.initialised = true;
}

void Checker::in_flight(const Access& copy, bool begins) {
  const Mark now = mark(copy.site);
  if (begins) count(copy, now.site);
  const auto* p = static_cast<const std::byte*>(copy.address);
  shadow_.each(copy.address, copy.bytes, [&](Cell& cell) {
    if (begins)
      write(cell, now, p);
    else
      cell.written = now;
    cell.in_flight = begins;
    ++p;
  });
}

void Checker::arrive(unsigned mbarrier) {
  clocks_.release(cluster().number(cluster().current()), released_[mbarrier].next);
}

void Checker::phase_ends(unsigned mbarrier, uint32_t phases) {
  Released& r = released_[mbarrier];
  Clocks::add(r.ended, r.next);
  r.ended.at(clocks_.column(mbarrier)) = phases;
  r.next.clear();
}

void Checker::acquire(unsigned mbarrier) {
  clocks_.acquire(cluster().number(cluster().current()), released_[mbarrier].ended);
}

void Checker::fence() { clocks_.fence(cluster().number(cluster().current())); }

// What a thread has written must be fenced before a copy writes there or completes on a barrier
// there.
void Checker::require_fence(const Cell& cell, const Mark& now, const void* p) {
  const Mark& m = cell.written;
  if (m.operation != 0 && ordered(m, now) && !of_copy(m) &&
      !clocks_.fenced(now.thread, m.thread, m.clock))
    find("copies to what was written", p, now, &m, "without a fence_async");
}

// With respect to earlier accesses, a bulk copy is a write by the thread that issues it; with
// respect to later ones, by its mbarrier's phase.
void Checker::bulk_copy(const Access& copy, const void* address, unsigned mbarrier,
                        uint32_t phases) {
  const Mark now = mark(copy.site);
  const unsigned rank = cluster().current().rank;
  const Mark landing{operation_, now.block, clocks_.column(mbarrier), phases, now.site};
  const auto* p = static_cast<const std::byte*>(copy.address);
  shadow_.each(address, 1, [&](Cell& cell) { require_fence(cell, now, address); });
  shadow_.each(copy.address, copy.bytes, [&](Cell& cell) {
    require_fence(cell, now, p);
    write(cell, now, p++);
    cell.written = landing;
  });
  visits_[rank].try_emplace({landing.thread, landing.clock, now.site},
                            Visit{landing, copy.address});
}

void Checker::transfer(uint32_t operation, const void* device, size_t bytes, bool write) {
  const Mark now{operation, 0, 0, 0, sites_.index({})};
  const auto* p = static_cast<const std::byte*>(device);
  const char* kernel = std::exchange(kernel_, kTransfer);
  shadow_.each(device, bytes, [&](Cell& cell) {
    // Uninitialised memory may be copied to the host, so that tests can look at it.
    if (write)
      this->write(cell, now, p);
    else if (cell.initialised)
      read(cell, now, p);
    ++p;
  });
  report();
  kernel_ = kernel;
}

void Checker::count(const Access& a, uint32_t site) {
  const Thread& t = cluster().current();
  const bool shared = shared_memory().has(a.address);
  requests_.add(
      {t.rank * kWarpsOfBlock + t.warp(), site, shared, a.write},
      {t.lane(), shared ? shared_memory().offset(a.address) : reinterpret_cast<uint64_t>(a.address),
       a.bytes});
  if (shared) return;
  (a.write ? traffic_.written_requested : traffic_.read_requested) += a.bytes;
  shadow_.each(a.address, a.bytes, [&](Cell& cell) {
    uint32_t& counted = a.write ? cell.counted_written : cell.counted_read;
    if (std::exchange(counted, operation_) != operation_)
      ++(a.write ? traffic_.written : traffic_.read);
  });
}

std::string Checker::who(const Mark& m) const {
  const std::string where = sites_.text(m.site);
  if (of_copy(m)) return "a bulk copy at " + where;
  if (m.operation == operation_)
    return fmt::format("block {} thread {} at {}", m.block, m.thread % threads_, where);
  return where.empty() ? "a copy or fill of a stream" : "an earlier kernel at " + where;
}

void Checker::find(const char* what, const void* p, const Mark& now, const Mark* other,
                   const char* how) {
  if (!found_.insert({what, now.site, other ? other->site : 0}).second) return;
  if (found_.size() > kMostFindings) return;
  const bool shared = shared_memory().has(p);
  const Allocation* a = shared ? nullptr : heap().find(p);
  const auto* byte = static_cast<const std::byte*>(p);
  const std::string place =
      shared ? fmt::format("byte {} of shared memory", shared_memory().offset(p))
      : a    ? fmt::format("byte {} of an allocation of {}", byte - a->data, a->bytes)
             : "memory";
  findings_ += fmt::format("{}[{}] {}, {}: {}{}", findings_.empty() ? "" : "\n", kernel_, who(now),
                           what, place, other ? ", by " + who(*other) + ", " + how : "");
}

namespace {

const bool kRegistered = [] {
  set_observer(&checker());
  return true;
}();

}  // namespace
}  // namespace birkhoff::emulator

namespace birkhoff::testing {

bool has_checker() { return true; }
Traffic traffic() { return emulator::checker().traffic(); }
void reset_traffic() { emulator::checker().reset_traffic(); }

}  // namespace birkhoff::testing
