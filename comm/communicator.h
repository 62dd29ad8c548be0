#pragma once
// Communication between ranks, over threads (comm/local) or MPI (comm/mpi), with the same bits by
// both.
//
//   all_reduce       x = Σ_r x_r (or the largest), in rank order: the same bits on every rank
//   all_gather       out = x_0 | x_1 | … | x_{n−1}
//   reduce_scatter   out = slice `rank` of Σ_r x_r, in rank order
//   all_to_all       send_counts[r] elements go to rank r, receive_counts[r] come from it
//   broadcast, send, receive, barrier
//
// bf16 is summed in f32 and rounded once; integer sums wrap; a NaN among floats counts as the
// largest. Counts are in elements and equal on all ranks unless said otherwise; input and output
// must not overlap.
//
// Order: all ranks make a communicator's collectives in the same order. Two ranks make the messages
// from one to the other in the same order too, also relative to the collectives. Every call sends
// its signature (sequence, operation, dtype, count, root, reduction); if two do not match,
// InternalError names both ranks and the call each is in. Communicators are independent of each
// other.
//
// start_… returns at once. The buffers belong to the call until its Pending is done, which must
// happen before the communicator is destroyed. At most 128 calls may be in flight; they may be
// waited for in any order, and waiting for one advances all. The plain call is start and wait.
//
// Errors: InternalError (exit 9) for a mismatch; after a rank has failed, PeerError (6) or the
// error that the abort was raised with. After an error every further call of this rank throws.
// Threads: all calls of a rank, and of its groups, come from one thread.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/dtype.h"

namespace birkhoff {

class Beacon;

enum class Reduction : uint8_t { sum, max };

struct Elements {
  void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::none;
};
struct ConstElements {
  const void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::none;
};

template <class T>
auto elements(std::span<T> values) {
  using View = std::conditional_t<std::is_const_v<T>, ConstElements, Elements>;
  return View{values.data(), int64_t(values.size()), DTypeOf<std::remove_const_t<T>>::value};
}

enum class Collective : uint8_t {
  barrier,
  broadcast,
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  send,
  receive
};
const char* name_of(Collective operation);  // "all_reduce"

// One call with its arguments; those that an operation does not take are left out.
struct CommCall {
  Collective operation = Collective::barrier;
  ConstElements in = {};
  Elements out = {};  // all_reduce and broadcast: the only buffer
  Reduction reduction = Reduction::sum;
  int peer = 0;  // the root, or the other rank of send and receive
  std::span<const int64_t> send_counts = {}, receive_counts = {};
};

// A call in flight. Destroying it before it is done is a bug (unless an exception unwinds): the
// call is cancelled, its buffers may be reused, and no further call of this rank works.
class [[nodiscard]] Pending {
 public:
  class Work {
   public:
    virtual bool done() = 0;  // advances all calls of the rank; throws as communicators do
    virtual void wait() = 0;
    virtual void release() noexcept = 0;  // the Pending no longer needs it

   protected:
    ~Work() = default;
  };

  Pending() = default;  // done
  explicit Pending(Work* work) : work_(work) {}
  ~Pending() { reset(); }
  Pending(Pending&& other) noexcept : work_(std::exchange(other.work_, nullptr)) {}
  Pending& operator=(Pending&& other) noexcept {
    if (this != &other) reset(), work_ = std::exchange(other.work_, nullptr);
    return *this;
  }

  bool done() { return !work_ || work_->done(); }
  void wait() {
    if (work_) work_->wait();
    reset();
  }

 private:
  void reset() noexcept {
    if (Work* work = std::exchange(work_, nullptr)) work->release();
  }
  Work* work_ = nullptr;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Makes a communicator of some of the ranks. All ranks call it at the same point of their order.
  // Each passes the ranks of the group it will be in, ascending and including itself; the lists of
  // two ranks are equal or disjoint (an axis of a mesh). A rank that passes an empty list is in no
  // group and gets null. Throws InternalError on all ranks if lists overlap. The group may outlive
  // its parent.
  virtual std::unique_ptr<Communicator> group(std::span<const int> ranks) = 0;

  // Reports that this rank has failed: all others throw PeerError(line) from the call they are in,
  // or from their next one. Returns soon; never throws. The first line wins. Best called before an
  // exception unwinds the stack: MPI may still access the buffers of calls in flight.
  virtual void abort(const std::string& line) noexcept = 0;

  // Reports each wait to the beacon, on this communicator and all groups of this rank. Null: none.
  virtual void watch(Beacon* beacon) = 0;

  virtual Pending start(const CommCall& call) = 0;

  Pending start_barrier() { return start({.operation = Collective::barrier}); }
  Pending start_broadcast(Elements x, int root) {
    return start({.operation = Collective::broadcast, .out = x, .peer = root});
  }
  Pending start_all_reduce(Elements x, Reduction reduction) {
    return start({.operation = Collective::all_reduce, .out = x, .reduction = reduction});
  }
  Pending start_all_gather(ConstElements x, Elements out) {
    return start({.operation = Collective::all_gather, .in = x, .out = out});
  }
  Pending start_reduce_scatter(ConstElements x, Elements out, Reduction reduction) {
    return start(
        {.operation = Collective::reduce_scatter, .in = x, .out = out, .reduction = reduction});
  }
  // The counts are read before the function returns.
  Pending start_all_to_all(ConstElements x, std::span<const int64_t> send_counts, Elements out,
                           std::span<const int64_t> receive_counts) {
    return start({.operation = Collective::all_to_all,
                  .in = x,
                  .out = out,
                  .send_counts = send_counts,
                  .receive_counts = receive_counts});
  }
  Pending start_send(ConstElements x, int to) {
    return start({.operation = Collective::send, .in = x, .peer = to});
  }
  Pending start_receive(Elements x, int from) {
    return start({.operation = Collective::receive, .out = x, .peer = from});
  }

  void barrier() { start_barrier().wait(); }
  void broadcast(Elements x, int root) { start_broadcast(x, root).wait(); }
  void all_reduce(Elements x, Reduction reduction) { start_all_reduce(x, reduction).wait(); }
  void all_gather(ConstElements x, Elements out) { start_all_gather(x, out).wait(); }
  void reduce_scatter(ConstElements x, Elements out, Reduction reduction) {
    start_reduce_scatter(x, out, reduction).wait();
  }
  void all_to_all(ConstElements x, std::span<const int64_t> send_counts, Elements out,
                  std::span<const int64_t> receive_counts) {
    start_all_to_all(x, send_counts, out, receive_counts).wait();
  }
  void send(ConstElements x, int to) { start_send(x, to).wait(); }
  void receive(Elements x, int from) { start_receive(x, from).wait(); }
};

}  // namespace birkhoff
