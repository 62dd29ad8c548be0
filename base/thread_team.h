#pragma once
// A fixed team of threads, which is all the parallelism of a rank. The calling thread is worker 0.
//
//   ThreadTeam team(2);
//   team.run(tasks, [&](int64_t task, int worker) { … });   // returns when all tasks are done
//
// Workers take tasks from a counter, so which worker runs which task differs from run to run.
// Results must not depend on it: cut work into tasks by shape alone, let each task own what it
// writes, and sum partials in task order afterwards. Then results do not depend on the number of
// threads.
//
// Not reentrant: a task must not call run(). One caller at a time. An exception in a task is
// rethrown by run() once all workers have stopped (the first one, if several).
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <type_traits>
#include <vector>

namespace birkhoff {

class ThreadTeam {
 public:
  explicit ThreadTeam(int threads);  // ≥ 1
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return int(threads_.size()) + 1; }

  template <class F>  // void(int64_t task, int worker)
  void run(int64_t tasks, F&& f) {
    if (tasks <= 0) return;
    if (tasks == 1 || threads_.empty()) {
      for (int64_t task = 0; task < tasks; ++task) f(task, 0);
      return;
    }
    const auto call = [](void* body, int64_t task, int worker) {
      (*static_cast<std::remove_reference_t<F>*>(body))(task, worker);
    };
    dispatch(tasks, call, const_cast<void*>(static_cast<const void*>(&f)));
  }

  // Splits [0, count) into ranges of `grain` and runs f(begin, end, worker) on each.
  template <class F>
  void ranges(int64_t count, int64_t grain, F&& f) {
    run((count + grain - 1) / grain, [&](int64_t task, int worker) {
      const int64_t begin = task * grain;
      f(begin, begin + grain < count ? begin + grain : count, worker);
    });
  }

 private:
  using Call = void (*)(void* body, int64_t task, int worker);
  void dispatch(int64_t tasks, Call call, void* body);
  void serve(int worker);
  void work(int worker);
  bool claim(int64_t& task);

  std::vector<std::thread> threads_;
  // The number of unclaimed tasks in the low kTasksBits and the run's number above, or kEnd at
  // shutdown. One atomic holds both, so that a waiting worker cannot miss a change of either. run()
  // waits for tasks, not for threads: a thread that wakes late, or has no core for a while, finds
  // nothing left and delays nobody.
  std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> done_{0};
  std::atomic<bool> failed_{false};
  // Arguments of the current run. A worker reads them only while it holds a task of that run.
  int64_t tasks_ = 0;
  Call call_ = nullptr;
  void* body_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace birkhoff
