#include "base/thread_team.h"

#include <immintrin.h>

#include <utility>

#include "base/error.h"

namespace birkhoff {
namespace {

// Spins for about 20 µs before sleeping: the next operator usually comes within a few µs.
constexpr int kSpins = 4000;
constexpr int kTasksBits = 40;
constexpr uint64_t kOneRun = uint64_t(1) << kTasksBits, kTasksMask = kOneRun - 1;
constexpr uint64_t kEnd = uint64_t(1) << 63;  // shutdown; no run has this bit set

template <class T>
void await_change(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
  check(threads >= 1, "a thread team of {} threads", threads);
  for (int worker = 1; worker < threads; ++worker)
    threads_.emplace_back([this, worker] { serve(worker); });
}

ThreadTeam::~ThreadTeam() {
  state_.store(kEnd, std::memory_order_release);
  state_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::dispatch(int64_t tasks, Call call, void* body) {
  tasks_ = tasks, call_ = call, body_ = body;
  failed_.store(false, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const uint64_t run = (state_.load(std::memory_order_relaxed) & ~kTasksMask) + kOneRun;
  state_.store((run & ~kEnd) | uint64_t(tasks), std::memory_order_release);
  state_.notify_all();
  work(0);
  for (int64_t done = done_.load(std::memory_order_acquire); done < tasks;
       done = done_.load(std::memory_order_acquire))
    await_change(done_, done);
  if (failed_.load()) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool ThreadTeam::claim(int64_t& task) {
  uint64_t state = state_.load(std::memory_order_acquire);
  while (state & kTasksMask)
    if (state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel)) {
      task = tasks_ - int64_t(state & kTasksMask);
      return true;
    }
  return false;
}

void ThreadTeam::serve(int worker) {
  for (;;) {
    const uint64_t state = state_.load(std::memory_order_acquire);
    if (state == kEnd) return;
    if (state & kTasksMask)
      work(worker);
    else
      await_change(state_, state);
  }
}

void ThreadTeam::work(int worker) {
  for (int64_t task = 0; claim(task);) {
    try {
      if (!failed_.load(std::memory_order_relaxed)) call_(body_, task, worker);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    // Read before counting: once the last task is counted, run() may return and the next run begin.
    const int64_t tasks = tasks_;
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) done_.notify_one();
  }
}

}  // namespace birkhoff
