#include "tests/cuda/checker/checker.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "tests/cuda/emulator/block.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/streams.h"

namespace birkhoff::emulator {
namespace {

constexpr size_t kMostFindings = 4;  // in one message
constexpr const char* kTransfer = "a copy or fill";

}  // namespace

Checker& checker() {
  static Checker the_checker;
  return the_checker;
}

void Checker::begin_kernel(const char* name, uint32_t operation) {
  kernel_ = name, operation_ = operation;
}

void Checker::begin_block(unsigned block, unsigned threads) {
  block_ = block;
  clocks_.begin(threads);
  shadow_.begin_block();
}

void Checker::end_block() {
  Cost global, shared;
  requests_.end_block(global, shared);
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
  const unsigned thread = block().current().number;
  return {operation_, block_, thread, clocks_.now(thread), sites_.index(site)};
}

bool Checker::ordered(const Mark& before, const Mark& now) const {
  if (before.operation == 0) return true;
  if (before.operation != now.operation) return streams().ordered(before.operation, now.operation);
  if (before.block != now.block) return false;
  return before.thread == now.thread || clocks_.knows(now.thread, before.thread, before.clock);
}

void Checker::access(const Access& a) {
  const Mark now = mark(a.site);
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
    access(a);
  } else if (heap().has(a.address)) {
    find("device memory without load or store", a.address, mark(a.site));
  }
}

void Checker::read(Cell& cell, const Mark& now, const void* p) {
  if (cell.in_flight)
    find("reads what a copy is still bringing", p, now, &cell.written);
  else if (!cell.initialised)
    find("reads what nobody has set", p, now);
  else if (!ordered(cell.written, now))
    find("reads while it is written", p, now, &cell.written);
  // A later write that is ordered behind this read is ordered behind all that this one knows of;
  // and of the reads by other blocks one stands for all.
  bool other_block = false;
  const auto known = [&](const Mark& m) {
    if (ordered(m, now)) return true;
    if (m.operation != now.operation || m.block == now.block) return false;
    return std::exchange(other_block, true);
  };
  cell.read.erase(std::remove_if(cell.read.begin(), cell.read.end(), known), cell.read.end());
  cell.read.push_back(now);
}

void Checker::write(Cell& cell, const Mark& now, const void* p) {
  if (cell.in_flight)
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

void Checker::transfer(uint32_t operation, const void* device, size_t bytes, bool write) {
  const Mark now{operation, 0, 0, 0, sites_.index({})};
  const auto* p = static_cast<const std::byte*>(device);
  const char* kernel = std::exchange(kernel_, kTransfer);
  shadow_.each(device, bytes, [&](Cell& cell) {
    // What was never set may be copied to the host: a test looks at it.
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
  const Thread& t = block().current();
  const bool shared = shared_memory().has(a.address);
  requests_.add(
      {t.warp(), site, shared, a.write},
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
  if (m.operation == operation_)
    return fmt::format("block {} thread {} at {}", m.block, m.thread, where);
  return where.empty() ? "a copy or fill of a stream" : "an earlier kernel at " + where;
}

void Checker::find(const char* what, const void* p, const Mark& now, const Mark* other) {
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
                           what, place, other ? ", by " + who(*other) + ", unordered" : "");
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
