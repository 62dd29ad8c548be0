#pragma once
// Queues of the device's work, and moments in them. Movable; not thread-safe, like their Gpu. What
// failed throws by error.h.
//
// A stream that is destroyed lets its work end; so does an event. Memory that the work uses is
// another matter: arena.h and staging.h wait for it.
#include <memory>

#include "base/cuda/gpu.h"

namespace birkhoff::cuda {

class Event;

enum class StreamKind {
  compute,
  transfer,  // between host and device
  // The highest priority there is: a collective has few blocks, and whoever waits for it waits for
  // all ranks. With that of compute it would begin when a large kernel's last blocks do.
  communication,
};

// None is ordered with CUDA's default stream.
class Stream {
 public:
  Stream(const Gpu& gpu, StreamKind kind);

  // Throws InternalError if it has been moved from: a null stream is CUDA's default one, and what
  // is given to it is ordered with nothing.
  cudaStream_t get() const;
  operator cudaStream_t() const { return get(); }

  // What is given to the stream from now on waits for what `event` stood for when it was last
  // recorded. Throws InternalError if it never was: CUDA takes that for done.
  void wait(const Event& event) const;
  // The host waits for all that it has been given.
  void synchronise() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  const Gpu* gpu_;
  std::unique_ptr<CUstream_st, Destroy> stream_;
};

enum class Timing { off, on };  // on: its record costs a little more

class Event {
 public:
  explicit Event(const Gpu& gpu, Timing timing = Timing::off);

  // From now on it stands for the end of what `stream` has been given so far.
  void record(const Stream& stream);
  bool recorded() const { return recorded_; }
  // The host waits for it. Throws InternalError if it was never recorded.
  void synchronise() const;
  // Between two that have been recorded with timing and waited for.
  float milliseconds_since(const Event& start) const;

 private:
  friend class Stream;
  struct Destroy {
    void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  };
  cudaEvent_t recorded_event(const char* use) const;

  const Gpu* gpu_;
  std::unique_ptr<CUevent_st, Destroy> event_;
  bool recorded_ = false;
};

}  // namespace birkhoff::cuda
