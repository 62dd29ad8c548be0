#include "tests/cuda/emulator/streams.h"

#include <algorithm>

#include "base/error.h"
#include "tests/cuda/emulator/device.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/host_copies.h"
#include "tests/cuda/emulator/machine.h"

namespace birkhoff::emulator {

Streams& streams() {
  static Streams all;
  return all;
}

void Clock::set(int stream, uint32_t count) {
  if (counts_.size() <= size_t(stream)) counts_.resize(size_t(stream) + 1);
  counts_[size_t(stream)] = std::max(counts_[size_t(stream)], count);
}

void Clock::join(const Clock& other) {
  for (size_t s = 0; s < other.counts_.size(); ++s) set(int(s), other.counts_[s]);
}

int Streams::create(bool blocking) {
  streams_.emplace_back().blocking = blocking;
  return int(streams_.size()) - 1;
}

Moment Streams::last(int stream) const { return {stream, streams_[size_t(stream)].issued}; }
bool Streams::done(Moment m) const { return streams_[size_t(m.stream)].done >= m.number; }
uint32_t Streams::id(Moment m) const {
  return m.number ? streams_[size_t(m.stream)].ids[m.number - 1] : 0;
}

Moment Streams::enqueue(int stream, Run run, const std::vector<Moment>& after) {
  Stream& s = streams_[size_t(stream)];
  Pending pending{uint32_t(operations_.size()) + 1, std::move(run), after};
  if (stream == 0) {
    for (size_t other = 1; other < streams_.size(); ++other)
      if (streams_[other].blocking) pending.after.push_back(last(int(other)));
  } else if (s.blocking) {
    pending.after.push_back(last(0));
  }
  Operation operation{{stream, s.issued + 1}, host_};
  if (s.issued) operation.clock.join(this->operation(s.ids.back()).clock);
  for (const Moment m : pending.after)
    if (m.number) operation.clock.join(this->operation(id(m)).clock);
  ++s.issued;
  operation.clock.set(stream, s.issued);
  s.ids.push_back(pending.id);
  operations_.push_back(std::move(operation));
  s.pending.push_back(std::move(pending));
  const Moment moment = last(stream);
  if (!device().schedule().lazy) demand(moment);
  return moment;
}

bool Streams::runnable(const Stream& s) const {
  return !s.pending.empty() &&
         std::all_of(s.pending.front().after.begin(), s.pending.front().after.end(),
                     [&](Moment m) { return done(m); });
}

void Streams::run_first(Stream& s) {
  Pending first = std::move(s.pending.front());
  s.pending.pop_front();
  if (fault().empty()) first.run(first.id);  // nothing runs after a fault
  ++s.done;
}

Streams::Stream* Streams::any_runnable() {
  std::vector<Stream*> able;
  for (Stream& s : streams_)
    if (runnable(s)) able.push_back(&s);
  if (able.empty()) return nullptr;
  const Order order = device().schedule().order;
  if (order == Order::random) return able[device().chance().below(able.size())];
  return order == Order::fifo ? able.front() : able.back();
}

// Runs what `moment` needs. With a random order, other streams may run operations in between.
void Streams::demand(Moment moment) {
  while (!done(moment)) {
    Stream& s = streams_[size_t(moment.stream)];
    if (device().schedule().order == Order::random) {
      run_first(*any_runnable());
      continue;
    }
    const std::vector<Moment> after = s.pending.front().after;
    for (const Moment m : after) demand(m);
    run_first(s);
  }
}

void Streams::wait(Moment moment) {
  demand(moment);
  if (moment.number) host_.join(operation(id(moment)).clock);
  host_copies().deliver(host_);
}

void Streams::wait_all() {
  while (Stream* s = any_runnable()) run_first(*s);
  for (size_t s = 0; s < streams_.size(); ++s) wait(last(int(s)));
}

void Streams::run_some() {
  if (Stream* s = any_runnable()) run_first(*s);
}

bool Streams::ordered(uint32_t before, uint32_t after) const {
  const Moment m = operation(before).moment;
  return operation(after).clock.of(m.stream) >= m.number;
}

std::string Streams::use(const void* p, uint32_t operation) {
  Allocation* a = heap().find(p);
  if (!a) return "";
  if (a->born && !ordered(a->born, operation))
    return fmt::format("an allocation of {} bytes that another stream makes, without an event",
                       a->bytes);
  if (a->dies && !ordered(operation, a->dies))
    return fmt::format("an allocation of {} bytes that a stream frees without waiting for another",
                       a->bytes);
  if (a->users.empty() || a->users.back() != operation) a->users.push_back(operation);
  return "";
}

std::string Streams::release(const Allocation& a, uint32_t operation) const {
  const auto waits_for = [&](uint32_t user) { return ordered(user, operation); };
  if (std::all_of(a.users.begin(), a.users.end(), waits_for) && (!a.born || waits_for(a.born)))
    return "";
  return fmt::format("an allocation of {} bytes that a stream frees without waiting for another",
                     a.bytes);
}

void Streams::reset() {
  for (Stream& s : streams_) s.pending.clear(), s.done = s.issued;
  operations_.clear();
  streams_.assign(1, {});
  host_ = {};
}

}  // namespace birkhoff::emulator
