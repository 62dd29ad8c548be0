#include "tests/cuda/emulator/block.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/format.h"

namespace birkhoff::emulator {
namespace {

constexpr Where kNowhere;

bool same_place(Where a, Where b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

}  // namespace

Block& block() {
  static Block the_block;
  return the_block;
}

std::string to_string(Where where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return fmt::format("{}:{}", slash ? slash + 1 : where.file_name(), where.line());
}

std::string to_string(Dim d) { return fmt::format("({},{},{})", d.x, d.y, d.z); }

void Thread::place(unsigned n, Dim block) {
  number = n;
  index = {n % block.x, n / block.x % block.y, n / (block.x * block.y)};
  state = State::ready;
  open.clear(), groups.clear();
}

std::string Block::run(const Job& job, Dim index, const Schedule& schedule, Chance& chance) {
  job_ = &job, index_ = index, schedule_ = &schedule, chance_ = &chance;
  if (!host_.bottom) host_ = host_context();
  const Dim d = job.how.block;
  prepare(d.x * d.y * d.z);
  current_ = next();
  switch_context(host_, current_->fiber.context());
  current_ = nullptr;
  if (error_.empty() && alive_ > 0)
    error_ = fmt::format("[{}] block {}: deadlock: {}", job.kernel, to_string(index),
                         where_threads_wait());
  return error_;
}

void Block::prepare(unsigned threads) {
  while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
  count_ = alive_ = threads;
  warps_.assign((threads + kWarp - 1) / kWarp, {});
  ready_.clear(), at_barrier_.clear(), error_.clear();
  for (unsigned n = 0; n < threads; ++n) {
    Thread& t = *threads_[n];
    t.place(n, job_->how.block);
    t.fiber.prepare(&Block::enter);
    warps_[t.warp()].alive |= 1u << t.lane();
    ready_.push_back(n);
  }
}

// Thrown through a kernel that has failed.
struct Failed {};

void Block::enter() {
  begin_context();
  Block& b = block();
  bool failed = false;
  try {
    b.job_->body();
    b.return_from_kernel();
  } catch (const Failed&) {
    failed = true;  // to be left outside of the handler, which belongs to the host's thread
  }
  if (failed) b.leave();
  b.go_on();
  std::abort();  // a thread that has returned is never entered again
}

void Block::return_from_kernel() {
  Thread& t = *current_;
  Warp& w = warps_[t.warp()];
  for (const Meeting& m : w.meetings)
    if (m.mask >> t.lane() & 1)
      fail(fmt::format("returns, but lanes {:#x} wait for it in {} at {}", m.arrived, m.name,
                       to_string(m.where)),
           kNowhere);
  w.alive &= ~(1u << t.lane());
  t.state = Thread::State::returned;
  --alive_;
  barrier_complete();
}

Thread* Block::next() {
  if (ready_.empty()) return nullptr;
  size_t at = 0;
  if (schedule_->order == Order::lifo) at = ready_.size() - 1;
  if (schedule_->order == Order::random) at = size_t(chance_->below(ready_.size()));
  std::swap(ready_[at], at == 0 ? ready_.front() : ready_.back());
  Thread* t = threads_[at == 0 ? ready_.front() : ready_.back()].get();
  at == 0 ? ready_.pop_front() : ready_.pop_back();
  return t;
}

// Leaves the running thread for one that is ready, or for the host when none is.
void Block::go_on() {
  Thread& from = *current_;
  Thread* to = next();
  if (to == &from) return;
  current_ = to;
  switch_context(from.fiber.context(), to ? to->fiber.context() : host_,
                 from.state == Thread::State::returned);
}

void Block::wait(const char* name, Where where) {
  Thread& t = *current_;
  t.state = Thread::State::waiting, t.waits_at = name, t.where = where;
  go_on();
}

void Block::wake(unsigned thread) {
  threads_[thread]->state = Thread::State::ready;
  ready_.push_back(thread);
}

void Block::fail(const std::string& what, Where where) {
  set_error(what, where);
  throw Failed{};
}

void Block::fail_at_once(const std::string& what) {
  set_error(what, kNowhere);
  leave();
}

void Block::set_error(const std::string& what, Where where) {
  const std::string place = where.line() ? " at " + to_string(where) : std::string();
  error_ = fmt::format("[{}] block {} thread {}{}: {}", job_->kernel, to_string(index_),
                       to_string(current_->index), place, what);
}

void Block::leave() {
  Thread& t = *current_;
  t.state = Thread::State::returned;
  current_ = nullptr;
  switch_context(t.fiber.context(), host_, true);
  std::abort();
}

void Block::barrier(Where where) {
  const unsigned me = current_->number;
  if (!at_barrier_.empty()) {
    const Thread& first = *threads_[at_barrier_.front()];
    if (!same_place(first.where, where))
      fail(fmt::format("comes to another sync_block than thread {} at {}", to_string(first.index),
                       to_string(first.where)),
           where);
  }
  current_->where = where;
  at_barrier_.push_back(me);
  if (!barrier_complete()) wait("sync_block", where);
}

// Whether all threads that are left have come; then they go on.
bool Block::barrier_complete() {
  if (at_barrier_.empty() || at_barrier_.size() < alive_) return false;
  if (observer()) observer()->barrier();
  for (const unsigned n : at_barrier_)
    if (threads_[n].get() != current_) wake(n);
  at_barrier_.clear();
  return true;
}

void Block::collective(const cuda::emulated::Collective& what, void* argument, Where where) {
  Thread& t = *current_;
  Meeting& m = meeting(what, where);
  m.arrived |= 1u << t.lane();
  m.arguments[t.lane()] = argument;
  if (m.arrived != m.mask) return wait(what.name, where);
  what.exchange(m.arguments, what.mask);
  if (observer() && what.orders_memory) observer()->meet(t.warp(), what.mask);
  m.mask = 0;
  for (unsigned others = what.mask & ~(1u << t.lane()); others; others &= others - 1)
    wake(t.warp() * kWarp + unsigned(std::countr_zero(others)));
}

// The meeting that the running lane joins, or a new one; fails if the mask or the place is wrong.
Meeting& Block::meeting(const cuda::emulated::Collective& what, Where where) {
  const Thread& t = *current_;
  Warp& w = warps_[t.warp()];
  if (!(what.mask >> t.lane() & 1))
    fail(fmt::format("{}: lane {} is not in its mask {:#x}", what.name, t.lane(), what.mask),
         where);
  if (const unsigned gone = what.mask & ~w.alive)
    fail(fmt::format("{}: mask {:#x} names lanes {:#x}, which have returned or never were",
                     what.name, what.mask, gone),
         where);
  Meeting* free = nullptr;
  for (Meeting& m : w.meetings) {
    if (!m.mask) free = &m;
    if (!(m.mask & what.mask)) continue;
    if (m.mask != what.mask || std::strcmp(m.name, what.name) != 0 || !same_place(m.where, where))
      fail(fmt::format("{} with mask {:#x}, while lanes {:#x} wait in {} at {} with mask {:#x}",
                       what.name, what.mask, m.arrived, m.name, to_string(m.where), m.mask),
           where);
    return m;
  }
  if (!free) free = &w.meetings.emplace_back();
  free->mask = what.mask, free->arrived = 0, free->name = what.name, free->where = where;
  return *free;
}

std::string Block::where_threads_wait() const {
  std::string text;
  int said = 0;
  for (unsigned n = 0; n < count_ && said < 4; ++n) {
    const Thread& t = *threads_[n];
    if (t.state != Thread::State::waiting) continue;
    text += fmt::format("{}thread {} waits in {} at {}", said++ ? ", " : "", to_string(t.index),
                        t.waits_at, to_string(t.where));
  }
  return text + fmt::format("; {} of {} threads have not returned", alive_, count_);
}

}  // namespace birkhoff::emulator
