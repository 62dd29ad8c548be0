#pragma once
// The threads of one block and how they take turns. One block runs at a time.
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
  int bytes;    // those behind are set to zero
  bool landed;  // at issue
  Where where;
};

struct Thread {
  enum class State { ready, waiting, returned };

  Fiber fiber;
  Dim index;
  unsigned number = 0;  // in the block
  State state = State::ready;
  const char* waits_at = "";
  Where where;                                // while it waits
  std::vector<AsyncCopy> open;                // copies issued, no group yet
  std::deque<std::vector<AsyncCopy>> groups;  // committed, not waited for

  unsigned lane() const { return number % kWarp; }
  unsigned warp() const { return number / kWarp; }
  void place(unsigned n, Dim block);
};

// Lanes on their way to one collective.
struct Meeting {
  unsigned mask = 0, arrived = 0;  // mask 0: nobody is
  const char* name = "";
  Where where;
  void* arguments[kWarp];
};
struct Warp {
  unsigned alive = 0;
  std::vector<Meeting> meetings;
};

class Block {
 public:
  // Runs block `index` to its end. What goes wrong is returned; empty: nothing.
  std::string run(const Job& job, Dim index, const Schedule& schedule, Chance& chance);

  const Job& job() const { return *job_; }
  Dim index() const { return index_; }
  Thread& current() { return *current_; }
  const Thread* running() const { return current_; }  // null: the host is
  Completion completion() const { return schedule_->completion; }
  Chance& chance() { return *chance_; }

  void barrier(Where where);
  void collective(const cuda::emulated::Collective& what, void* argument, Where where);

  // Ends the block: unwinds the running thread, and leaves it and the others for good.
  [[noreturn]] void fail(const std::string& what, Where where);
  // The same where nothing can be unwound: in place of an instruction that failed.
  [[noreturn]] void fail_at_once(const std::string& what);

 private:
  static void enter();
  void prepare(unsigned threads);
  void return_from_kernel();
  [[noreturn]] void leave();
  void set_error(const std::string& what, Where where);
  void wait(const char* name, Where where);
  void wake(unsigned thread);
  Thread* next();
  void go_on();
  bool barrier_complete();
  Meeting& meeting(const cuda::emulated::Collective& what, Where where);
  std::string where_threads_wait() const;

  std::vector<std::unique_ptr<Thread>> threads_;  // kept from block to block
  std::vector<Warp> warps_;
  std::deque<unsigned> ready_;
  std::vector<unsigned> at_barrier_;
  unsigned count_ = 0, alive_ = 0;
  Thread* current_ = nullptr;
  Context host_;
  const Job* job_ = nullptr;
  Dim index_;
  const Schedule* schedule_ = nullptr;
  Chance* chance_ = nullptr;
  std::string error_;
};

// The one block there is.
Block& block();

// "rms_norm.cu:57"
std::string to_string(Where where);
std::string to_string(Dim dim);

}  // namespace birkhoff::emulator
