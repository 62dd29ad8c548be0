#include "base/thread_team.h"

#include <immintrin.h>

#include "base/error.h"

namespace birkhoff {
namespace {

// Spins for about 20 µs before sleeping: the next operator usually comes within a few.
constexpr int kSpins = 4000;

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
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::dispatch(int64_t tasks, Call call, void* body) {
  tasks_ = tasks, call_ = call, body_ = body;
  next_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  busy_.store(int(threads_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  work(0);
  for (int left = busy_.load(std::memory_order_acquire); left > 0;
       left = busy_.load(std::memory_order_acquire))
    await_change(busy_, left);
  if (failed_.load()) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadTeam::serve(int worker) {
  for (uint32_t seen = 0;; ++seen) {
    await_change(epoch_, seen);
    if (stop_.load()) return;
    work(worker);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

void ThreadTeam::work(int worker) {
  try {
    for (int64_t task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1))
      call_(body_, task, worker);
  } catch (...) {
    next_.store(tasks_);  // the others stop at their next task
    if (!failed_.exchange(true)) error_ = std::current_exception();
  }
}

}  // namespace birkhoff
