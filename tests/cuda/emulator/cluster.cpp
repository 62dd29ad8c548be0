#include "tests/cuda/emulator/cluster.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/format.h"
#include "tests/cuda/emulator/mbarriers.h"

namespace birkhoff::emulator {
namespace {

constexpr Where kNowhere;

bool same_place(Where a, Where b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

}  // namespace

Cluster& cluster() {
  static Cluster the_cluster;
  return the_cluster;
}

std::string to_string(Where where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return fmt::format("{}:{}", slash ? slash + 1 : where.file_name(), where.line());
}

std::string to_string(Dim d) { return fmt::format("({},{},{})", d.x, d.y, d.z); }

void Thread::place(unsigned n, unsigned of_rank, Dim block) {
  number = n, rank = of_rank;
  index = {n % block.x, n / block.x % block.y, n / (block.x * block.y)};
  state = State::ready;
  open.clear(), groups.clear();
}

std::string Cluster::run(const Job& job, Dim first, const Schedule& schedule, Chance& chance) {
  job_ = &job, schedule_ = &schedule, chance_ = &chance;
  if (!host_.bottom) host_ = host_context();
  prepare(first);
  mbarriers().begin_cluster();
  current_ = next();
  switch_context(host_, current_->fiber.context());
  current_ = nullptr;
  if (error_.empty() && barrier_.alive > 0)
    error_ = fmt::format("[{}] block {}: deadlock: {}", job.kernel, to_string(first),
                         where_threads_wait() + mbarriers().lacking());
  if (error_.empty())
    if (const std::string copy = mbarriers().under_way(); !copy.empty())
      error_ = fmt::format("[{}] block {}: {}", job.kernel, to_string(first), copy);
  return error_;
}

void Cluster::prepare(Dim first) {
  const Dim d = job_->how.block;
  const unsigned threads = d.x * d.y * d.z;
  threads_of_block_ = threads;
  while (threads_.size() < size_t{threads} * job_->how.cluster)
    threads_.push_back(std::make_unique<Thread>());
  ready_.clear(), error_.clear(), blocks_.clear(), barrier_.come.clear();
  barrier_.alive = threads * job_->how.cluster;
  for (unsigned rank = 0; rank < job_->how.cluster; ++rank) {
    Block& b = blocks_.emplace_back(
        Block{{first.x + rank, first.y, first.z}, {"sync_block", threads}, {}});
    b.warps.resize((threads + kWarp - 1) / kWarp);
    for (unsigned n = 0; n < threads; ++n) {
      Thread& t = *threads_[rank * threads + n];
      t.place(n, rank, d);
      t.fiber.prepare(&Cluster::enter);
      b.warps[t.warp()].alive |= 1u << t.lane();
      ready_.push_back(rank * threads + n);
    }
  }
}

// Thrown to unwind a kernel's thread that has failed.
struct Failed {};

void Cluster::enter() {
  begin_context();
  Cluster& c = cluster();
  bool failed = false;
  try {
    c.job_->body();
    c.return_from_kernel();
  } catch (const Failed&) {
    failed = true;  // leave() must run outside the handler, which belongs to the host's thread
  }
  if (failed) c.leave();
  c.go_on();
  std::abort();  // a thread that has returned is never entered again
}

void Cluster::return_from_kernel() {
  Thread& t = *current_;
  Block& b = blocks_[t.rank];
  Warp& w = b.warps[t.warp()];
  for (const Meeting& m : w.meetings)
    if (m.mask >> t.lane() & 1)
      fail(fmt::format("returns, but lanes {:#x} wait for it in {} at {}", m.arrived, m.name,
                       to_string(m.where)),
           kNowhere);
  w.alive &= ~(1u << t.lane());
  t.state = Thread::State::returned;
  --b.barrier.alive, --barrier_.alive;
  complete(b.barrier);
  complete(barrier_);
  if (b.barrier.alive == 0 && observer()) observer()->block_returns(t.rank);
}

Thread* Cluster::next() {
  while (ready_.empty())
    if (barrier_.alive == 0 || !mbarriers().land()) return nullptr;
  size_t at = 0;
  if (schedule_->order == Order::lifo) at = ready_.size() - 1;
  if (schedule_->order == Order::random) at = size_t(chance_->below(ready_.size()));
  std::swap(ready_[at], at == 0 ? ready_.front() : ready_.back());
  Thread* t = threads_[at == 0 ? ready_.front() : ready_.back()].get();
  at == 0 ? ready_.pop_front() : ready_.pop_back();
  return t;
}

// Switches from the running thread to one that is ready, or to the host if there is none.
void Cluster::go_on() {
  Thread& from = *current_;
  Thread* to = next();
  if (to == &from) return;
  current_ = to;
  switch_context(from.fiber.context(), to ? to->fiber.context() : host_,
                 from.state == Thread::State::returned);
}

void Cluster::wait(const char* name, Where where) {
  Thread& t = *current_;
  t.state = Thread::State::waiting, t.waits_at = name, t.where = where;
  go_on();
}

void Cluster::wake(unsigned thread) {
  threads_[thread]->state = Thread::State::ready;
  ready_.push_back(thread);
}

void Cluster::fail(const std::string& what, Where where) {
  set_error(what, where);
  throw Failed{};
}

void Cluster::fail_at_once(const std::string& what) {
  set_error(what, kNowhere);
  leave();
}

void Cluster::set_error(const std::string& what, Where where) {
  const std::string place = where.line() ? " at " + to_string(where) : std::string();
  error_ = fmt::format("[{}] block {} thread {}{}: {}", job_->kernel, to_string(index()),
                       to_string(current_->index), place, what);
}

void Cluster::leave() {
  Thread& t = *current_;
  t.state = Thread::State::returned;
  current_ = nullptr;
  switch_context(t.fiber.context(), host_, true);
  std::abort();
}

void Cluster::barrier(Where where) { come(blocks_[current_->rank].barrier, where); }
void Cluster::cluster_barrier(Where where) { come(barrier_, where); }

void Cluster::come(Gathering& to, Where where) {
  if (!to.come.empty()) {
    const Thread& first = *threads_[to.come.front()];
    if (!same_place(first.where, where))
      fail(fmt::format("comes to another {} than thread {} at {}", to.name, to_string(first.index),
                       to_string(first.where)),
           where);
  }
  current_->where = where;
  to.come.push_back(number(*current_));
  if (!complete(to)) wait(to.name, where);
}

// If all threads that have not returned have arrived, resumes them and returns true.
bool Cluster::complete(Gathering& g) {
  if (g.come.empty() || g.come.size() < g.alive) return false;
  if (observer())
    &g == &barrier_ ? observer()->cluster_barrier() : observer()->barrier(current_->rank);
  for (const unsigned n : g.come)
    if (threads_[n].get() != current_) wake(n);
  g.come.clear();
  return true;
}

void Cluster::collective(const cuda::emulated::Collective& what, void* argument, Where where) {
  Thread& t = *current_;
  Meeting& m = meeting(what, where);
  m.arrived |= 1u << t.lane();
  m.arguments[t.lane()] = argument;
  if (m.arrived != m.mask) return wait(what.name, where);
  what.exchange(m.arguments, what.mask);
  if (observer() && what.orders_memory) observer()->meet(t.rank, t.warp(), what.mask);
  m.mask = 0;
  for (unsigned others = what.mask & ~(1u << t.lane()); others; others &= others - 1)
    wake(number(t) - t.lane() + unsigned(std::countr_zero(others)));
}

// The meeting that the running lane joins, or a new one; fails if the mask or source line is wrong.
Meeting& Cluster::meeting(const cuda::emulated::Collective& what, Where where) {
  const Thread& t = *current_;
  Warp& w = blocks_[t.rank].warps[t.warp()];
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

std::string Cluster::where_threads_wait() const {
  std::string text;
  int said = 0;
  const unsigned count = blocks() * threads_of_block_;
  for (unsigned n = 0; n < count && said < 4; ++n) {
    const Thread& t = *threads_[n];
    if (t.state != Thread::State::waiting) continue;
    const std::string of = t.rank ? fmt::format(" of block {}", t.rank) : "";
    text += fmt::format("{}thread {}{} waits in {} at {}", said++ ? ", " : "", to_string(t.index),
                        of, t.waits_at, to_string(t.where));
  }
  return text + fmt::format("; {} of {} threads have not returned", barrier_.alive, count);
}

}  // namespace birkhoff::emulator
