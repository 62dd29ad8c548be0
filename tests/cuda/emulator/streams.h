#pragma once
// Streams as queues. Operations of one stream run in order; those of different streams run in any
// order that events and the host's waits allow, which the schedule picks.
//
// Stream 0 is CUDA's legacy default stream: it and all blocking streams wait for each other.
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/device/types.h"

namespace birkhoff::emulator {

struct Allocation;

// A vector clock: how many operations of each stream have happened before.
class Clock {
 public:
  uint32_t of(int stream) const {
    return size_t(stream) < counts_.size() ? counts_[size_t(stream)] : 0;
  }
  void set(int stream, uint32_t count);
  void join(const Clock& other);

 private:
  std::vector<uint32_t> counts_;
};

struct Moment {  // operation `number` of a stream, counted from 1; 0: nothing
  int stream = 0;
  uint32_t number = 0;
};

class Streams {
 public:
  // Executes an operation; called with its id.
  using Run = std::function<void(uint32_t operation)>;

  int create(bool blocking);
  Moment enqueue(int stream, Run run, const std::vector<Moment>& after = {});
  Moment last(int stream) const;
  bool done(Moment moment) const;
  // The host waits: runs everything that must run first.
  void wait(Moment moment);
  void wait_all();
  void run_some();  // the host polls: runs one operation if one can run
  bool ordered(uint32_t before, uint32_t after) const;  // whether, for operations given by id
  uint32_t id(Moment moment) const;
  // Records that `operation` uses p's memory. Empty if it is ordered between the allocation and the
  // release; else what is wrong.
  std::string use(const void* p, uint32_t operation);
  // The same for an operation that frees `a`.
  std::string release(const Allocation& a, uint32_t operation) const;
  const Clock& host() const { return host_; }
  void reset();

 private:
  struct Operation {
    Moment moment;
    Clock clock;  // includes this operation
  };
  struct Pending {
    uint32_t id;
    Run run;
    std::vector<Moment> after;
  };
  struct Stream {
    bool blocking = true;
    uint32_t issued = 0, done = 0;
    std::deque<Pending> pending;
    std::vector<uint32_t> ids;  // of all its operations
  };

  const Operation& operation(uint32_t id) const { return operations_[id - 1]; }
  bool runnable(const Stream& stream) const;
  void run_first(Stream& stream);
  void demand(Moment moment);
  Stream* any_runnable();

  std::vector<Stream> streams_ = std::vector<Stream>(1);
  std::vector<Operation> operations_;  // by id − 1
  Clock host_;
};

Streams& streams();

// The index of a runtime handle's stream; −1 if it does not exist.
int index_of(cudaStream_t stream);

}  // namespace birkhoff::emulator
