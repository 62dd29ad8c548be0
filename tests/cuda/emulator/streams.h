#pragma once
// Streams as queues. Operations of one stream run in order, those of two in any order that events
// and the host's waits allow; the schedule picks one.
//
// Stream 0 is CUDA's legacy default stream: it waits for all blocking streams, and they for it.
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/device/types.h"

namespace birkhoff::emulator {

struct Allocation;

// How many operations of each stream have happened before.
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
  // Called with the operation's id.
  using Run = std::function<void(uint32_t operation)>;

  int create(bool blocking);
  Moment enqueue(int stream, Run run, const std::vector<Moment>& after = {});
  Moment last(int stream) const;
  bool done(Moment moment) const;
  // Runs what must have run, and tells the host that it has.
  void wait(Moment moment);
  void wait_all();
  void run_some();  // one operation, if there is one: the host is polling
  bool ordered(uint32_t before, uint32_t after) const;  // operations, by id
  uint32_t id(Moment moment) const;
  // Empty if `operation` comes between the allocation and the release of p's memory, which then
  // knows that it is used; else what is wrong.
  std::string use(const void* p, uint32_t operation);
  // The same for an operation that frees `a`.
  std::string release(const Allocation& a, uint32_t operation) const;
  const Clock& host() const { return host_; }
  void reset();

 private:
  struct Operation {
    Moment moment;
    Clock clock;  // itself included
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
    std::vector<uint32_t> ids;  // of all operations
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

// The index of a runtime's handle; −1: there is none.
int index_of(cudaStream_t stream);

}  // namespace birkhoff::emulator
