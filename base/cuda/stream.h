#pragma once
// Streams (queues of device work) and events (moments in a stream). Movable; not thread-safe, like
// their Gpu. Failures throw as described in error.h.
//
// Destroying a stream or an event lets the queued work finish, but does not keep the memory alive
// that the work uses: arena.h and staging.h wait for it.
#include <memory>

#include "base/cuda/gpu.h"

namespace birkhoff::cuda {

class Event;

enum class StreamKind {
  compute,
  transfer,  // between host and device
  // Has the highest priority: a collective has few blocks, and whoever waits for it waits for all
  // ranks. With compute's priority it would begin only when a large kernel's last blocks do.
  communication,
};

// No stream is ordered with CUDA's default stream.
class Stream {
 public:
  Stream(const Gpu& gpu, StreamKind kind);

  // Throws InternalError if it has been moved from: a null stream is CUDA's default one, and work
  // given to it is ordered with nothing.
  cudaStream_t get() const;
  operator cudaStream_t() const { return get(); }

  // Work given to the stream from now on waits for what `event` marked when it was last recorded.
  // Throws InternalError if it was never recorded, which CUDA would take for done.
  void wait(const Event& event) const;
  // The host waits for all work given to the stream.
  void synchronise() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  const Gpu* gpu_;
  std::unique_ptr<CUstream_st, Destroy> stream_;
};

enum class Timing { off, on };  // on: recording costs a little more

class Event {
 public:
  explicit Event(const Gpu& gpu, Timing timing = Timing::off);

  // Marks the end of the work given to `stream` so far.
  void record(const Stream& stream);
  bool recorded() const { return recorded_; }
  // The host waits for it. Throws InternalError if it was never recorded.
  void synchronise() const;
  // Time between two events that have been recorded with timing and waited for.
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
