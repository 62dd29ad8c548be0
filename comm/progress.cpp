#include "comm/progress.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

// Limit of calls in flight per sequence: half of the sequence numbers that channels distinguish.
// Both sides of a pair stay within this distance of their oldest call, so they never confuse two
// calls.
constexpr int64_t kMostUnderWay = Channel::kSequences / 2;

struct Waiting {
  Waiting(Beacon* b, const Operation& operation) : beacon(b) {
    if (beacon)
      beacon->begin({.sequence = operation.signature().sequence,
                     .operation = name_of(operation.signature().operation),
                     .bytes = operation.bytes()});
  }
  ~Waiting() {
    if (beacon) beacon->end();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  Beacon* beacon;
};

}  // namespace

Progress::~Progress() {
  for (Operation* operation : active_) operation->cut_off();
}

template <class F>
decltype(auto) Progress::guarded(F&& f) {
  try {
    check_failure();
    return f();
  } catch (...) {
    if (!failure_) fail(std::current_exception());
    throw;
  }
}

void Progress::check_failure() {
  if (failure_) std::rethrow_exception(failure_);
  transport_->abort().check();
}

void Progress::fail(std::exception_ptr failure) noexcept {
  failure_ = std::move(failure);
  for (Operation* operation : active_) operation->cut_off();
  active_.clear();
}

Operation& Progress::start(const CommCall& call, const Operation::Place& place) {
  return guarded([&]() -> Operation& {
    if (idle_.empty()) {
      all_.push_back(std::make_unique<Operation>(*this));
      idle_.reserve(all_.size());  // release() must not fail
      idle_.push_back(all_.back().get());
    }
    Operation* operation = idle_.back();
    idle_.pop_back();
    active_.push_back(operation);
    operation->start(call, place);
    const Signature& s = operation->signature();
    for (const Operation* other : active_)
      check(!other->same_order(s) || s.sequence - other->signature().sequence < kMostUnderWay,
            "[{}] {} calls of group {} are already in flight; wait for some of them first",
            name_of(call.operation), kMostUnderWay, place.group);
    advance();
    return *operation;
  });
}

// One pass over all calls; complete ones leave the list.
bool Progress::advance() {
  bool moved = false;
  for (Operation* operation : active_)
    if (operation->advance()) moved = true;
  if (moved)
    std::erase_if(active_, [](const Operation* operation) { return operation->complete(); });
  return moved;
}

bool Progress::done(Operation& operation) {
  if (operation.complete() && !failure_) return true;
  return guarded([&] {
    if (!advance()) transport_->pause(0);
    return operation.complete();
  });
}

void Progress::wait(Operation& operation) {
  const Waiting waiting(beacon_, operation);
  guarded([&] {
    for (int64_t idle = 0; !operation.complete();) {
      idle = advance() ? 0 : idle + 1;
      if (idle == 0) continue;
      transport_->pause(idle);
      transport_->abort().check();
    }
  });
}

void Progress::release(Operation& operation) noexcept {
  if (!operation.complete() && !failure_) {
    const Signature& s = operation.signature();
    fail(std::make_exception_ptr(
        InternalError(fmt::format("[{}] was started but never waited for (call {} in group {})",
                                  name_of(s.operation), s.sequence, s.group))));
  }
  idle_.push_back(&operation);
}

}  // namespace birkhoff
