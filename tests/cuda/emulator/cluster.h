#pragma once
// The threads of a cluster of blocks, and their scheduling. One cluster runs at a time; a launch
// without clusters has clusters of one block.
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/cuda/emulator/device.h"
#include "tests/cuda/emulator/fiber.h"
#include "tests/cuda/emulator/observer.h"
#include "tests/cuda/emulator/schedule.h"

namespace birkhoff::emulator {

using cuda::Dim;
using cuda::kWarp;

struct AsyncCopy {
  std::byte* to;
  const std::byte* from;
  int bytes;    // the rest of the 16 are set to zero
  bool landed;  // when it was issued
  Where where;
};

struct Thread {
  enum class State { ready, waiting, returned };

  Fiber fiber;
  Dim index;
  unsigned number = 0;  // in its block
  unsigned rank = 0;    // its block's
  State state = State::ready;
  const char* waits_at = "";
  Where where;                                // while it waits
  std::vector<AsyncCopy> open;                // copies that are not yet in a group
  std::deque<std::vector<AsyncCopy>> groups;  // committed and not yet waited for

  unsigned lane() const { return number % kWarp; }
  unsigned warp() const { return number / kWarp; }
  void place(unsigned n, unsigned of_rank, Dim block);
};

// A collective at which some lanes of its mask have arrived.
struct Meeting {
  unsigned mask = 0, arrived = 0;  // mask 0: unused
  const char* name = "";
  Where where;
  void* arguments[kWarp];
};
struct Warp {
  unsigned alive = 0;
  std::vector<Meeting> meetings;
};

// A barrier: the threads that have arrived, and how many it waits for.
struct Gathering {
  const char* name;
  unsigned alive = 0;
  std::vector<unsigned> come = {};  // numbers in the cluster
};

struct Block {
  Dim index;
  Gathering barrier;
  std::vector<Warp> warps;
};

class Cluster {
 public:
  // Runs the cluster whose first block is `first` to its end. Returns the fault; empty: none.
  std::string run(const Job& job, Dim first, const Schedule& schedule, Chance& chance);

  const Job& job() const { return *job_; }
  unsigned blocks() const { return unsigned(blocks_.size()); }
  const Block& block(unsigned rank) const { return blocks_[rank]; }
  Dim index() const { return blocks_[current_->rank].index; }  // of the running thread's block
  Thread& current() { return *current_; }
  const Thread* running() const { return current_; }  // null: the host is running
  Completion completion() const { return schedule_->completion; }
  Chance& chance() { return *chance_; }

  void barrier(Where where);  // sync_block
  void cluster_barrier(Where where);
  void collective(const cuda::emulated::Collective& what, void* argument, Where where);

  // wait() suspends the running thread; wake() resumes a thread by its number in the cluster.
  void wait(const char* name, Where where);
  void wake(unsigned thread);
  unsigned number(const Thread& t) const { return t.rank * threads_of_block_ + t.number; }

  // Ends the cluster: unwinds the running thread and abandons the others.
  [[noreturn]] void fail(const std::string& what, Where where);
  // The same where unwinding is impossible: instead of an instruction that failed.
  [[noreturn]] void fail_at_once(const std::string& what);

 private:
  static void enter();
  void prepare(Dim first);
  void return_from_kernel();
  [[noreturn]] void leave();
  void set_error(const std::string& what, Where where);
  Thread* next();
  void go_on();
  void come(Gathering& to, Where where);
  bool complete(Gathering& g);
  Meeting& meeting(const cuda::emulated::Collective& what, Where where);
  std::string where_threads_wait() const;

  std::vector<std::unique_ptr<Thread>> threads_;  // reused by the next cluster
  std::vector<Block> blocks_;
  Gathering barrier_{"sync_cluster"};
  std::deque<unsigned> ready_;
  unsigned threads_of_block_ = 0;
  Thread* current_ = nullptr;
  Context host_;
  const Job* job_ = nullptr;
  const Schedule* schedule_ = nullptr;
  Chance* chance_ = nullptr;
  std::string error_;
};

// The only cluster.
Cluster& cluster();

// For example "rms_norm.cu:57".
std::string to_string(Where where);
std::string to_string(Dim dim);

}  // namespace birkhoff::emulator
