#include "comm/beacon.h"

#include "comm/drill.h"

namespace birkhoff {
namespace {

// How often a reader retries when the writer overtakes it, which takes two writes during one read.
constexpr int kMaxLooks = 1000;

}  // namespace

std::string_view name_of(Activity activity) {
  constexpr std::string_view kNames[] = {"init",   "load",   "data",     "forward", "backward",
                                         "reduce", "update", "evaluate", "save",    "finish"};
  static_assert(std::size(kNames) == kActivities);
  return kNames[size_t(activity)];
}

// Fields are stored with release and loaded with acquire, so that a reader that sees a field of a
// later write also sees the version change. Fences would do too, but TSan does not support them.
Beacon::Snapshot Beacon::read(const Fields& f) {
  const auto get = [](const auto& field) { return field.load(std::memory_order_acquire); };
  return {
      .step = get(f.step),
      .activity = get(f.activity),
      .last = {.sequence = get(f.sequence), .operation = get(f.operation), .bytes = get(f.bytes)},
      .waiting = get(f.waiting)};
}

void Beacon::write(const Snapshot& s) {
  const auto put = [](auto& field, auto value) { field.store(value, std::memory_order_release); };
  const uint64_t version = version_.load(std::memory_order_relaxed) + 1;
  Fields& f = fields_[version % 2];
  put(f.step, s.step), put(f.activity, s.activity), put(f.waiting, s.waiting);
  put(f.sequence, s.last.sequence), put(f.operation, s.last.operation);
  put(f.bytes, s.last.bytes);
  version_.store(version, std::memory_order_release);
  tick();
}

void Beacon::enter(int64_t step, Activity activity) {
  Snapshot s = snapshot();
  s.step = step, s.activity = activity;
  write(s);
  if (listener_) listener_->entered(step, activity);
  if (drill_) drill_->at(rank_, step, name_of(activity));
}

void Beacon::begin(const CollectiveCall& call) {
  Snapshot s = snapshot();
  // The drill runs before the rank is marked as waiting: it fails on its way in, while the others
  // already wait for it.
  if (drill_) drill_->at(rank_, s.step, call.operation);
  s.last = call, s.waiting = true;
  write(s);
  if (listener_) listener_->began(call);
}

void Beacon::end() {
  Snapshot s = snapshot();
  s.waiting = false;
  write(s);
  if (listener_) listener_->ended();
}

Beacon::Snapshot Beacon::snapshot() const {
  Snapshot seen;
  for (int look = 0; look < kMaxLooks; ++look) {
    const uint64_t version = version_.load(std::memory_order_acquire);
    seen = read(fields_[version % 2]);
    if (version_.load(std::memory_order_relaxed) == version) break;
  }
  seen.ticks = ticks_.load(std::memory_order_relaxed);
  return seen;
}

}  // namespace birkhoff
