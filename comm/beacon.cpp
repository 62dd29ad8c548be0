#include "comm/beacon.h"

#include "comm/drill.h"

namespace birkhoff {
namespace {

// A sequence lock whose fields are atomics: stored with release and loaded with acquire, they keep
// the two looks at the version on either side of them, without fences (TSan knows none).
template <class T, class V>
void put(std::atomic<T>& field, V value) {
  field.store(value, std::memory_order_release);
}
template <class T>
T get(const std::atomic<T>& field) {
  return field.load(std::memory_order_acquire);
}

// A handler that interrupted the writer would wait for it for ever.
constexpr int kMaxLooks = 1000;

}  // namespace

std::string_view name_of(Activity activity) {
  constexpr std::string_view kNames[] = {"init",   "load",   "data",     "forward", "backward",
                                         "reduce", "update", "evaluate", "save",    "finish"};
  static_assert(std::size(kNames) == kActivities);
  return kNames[size_t(activity)];
}

template <class Write>
void Beacon::change(const Write& write) {
  const uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  write();
  version_.store(version + 2, std::memory_order_release);
  tick();
}

void Beacon::enter(int64_t step, Activity activity) {
  change([&] { put(step_, step), put(activity_, activity); });
  if (drill_) drill_->at(rank_, step, name_of(activity));
}

void Beacon::begin(const CollectiveCall& call) {
  // Before the rank counts as waiting: it fails on its way in, as the others wait for it.
  if (drill_) drill_->at(rank_, step_.load(std::memory_order_relaxed), call.operation);
  change([&] {
    put(sequence_, call.sequence), put(operation_, call.operation);
    put(bytes_, call.bytes), put(waiting_, true);
  });
}

void Beacon::end() {
  change([&] { put(waiting_, false); });
}

Beacon::Snapshot Beacon::snapshot() const {
  Snapshot seen;
  for (int look = 0; look < kMaxLooks; ++look) {
    const uint64_t version = get(version_);
    seen = {
        .step = get(step_),
        .activity = get(activity_),
        .last = {.sequence = get(sequence_), .operation = get(operation_), .bytes = get(bytes_)},
        .waiting = get(waiting_),
        .ticks = get(ticks_)};
    if (version % 2 == 0 && version_.load(std::memory_order_relaxed) == version) break;
  }
  return seen;
}

}  // namespace birkhoff
