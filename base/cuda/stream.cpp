#include "base/cuda/stream.h"

#include "base/error.h"

namespace birkhoff::cuda {

Stream::Stream(const Gpu& gpu, StreamKind kind) : gpu_(&gpu) {
  int least = 0, greatest = 0;  // priorities: a lower number is a higher priority
  gpu.check(cudaDeviceGetStreamPriorityRange(&least, &greatest),
            "cudaDeviceGetStreamPriorityRange");
  cudaStream_t made = nullptr;
  gpu.check(cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking,
                                         kind == StreamKind::communication ? greatest : least),
            "cudaStreamCreateWithPriority");
  stream_.reset(made);
}

cudaStream_t Stream::get() const {
  birkhoff::check(stream_ != nullptr, "a moved-from stream is used");
  return stream_.get();
}

void Stream::wait(const Event& event) const {
  gpu_->check(cudaStreamWaitEvent(get(), event.recorded_event("a stream waits for"), 0),
              "cudaStreamWaitEvent");
}

void Stream::synchronise() const {
  gpu_->check(cudaStreamSynchronize(get()), "cudaStreamSynchronize");
}

Event::Event(const Gpu& gpu, Timing timing) : gpu_(&gpu) {
  cudaEvent_t made = nullptr;
  gpu.check(cudaEventCreateWithFlags(
                &made, timing == Timing::on ? cudaEventDefault : cudaEventDisableTiming),
            "cudaEventCreateWithFlags");
  event_.reset(made);
}

cudaEvent_t Event::recorded_event(const char* use) const {
  birkhoff::check(event_ && recorded_, "{} an event that {}", use,
                  event_ ? "was never recorded" : "has been moved from");
  return event_.get();
}

void Event::record(const Stream& stream) {
  birkhoff::check(event_ != nullptr, "a moved-from event is recorded");
  gpu_->check(cudaEventRecord(event_.get(), stream), "cudaEventRecord");
  recorded_ = true;
}

void Event::synchronise() const {
  gpu_->check(cudaEventSynchronize(recorded_event("the host waits for")), "cudaEventSynchronize");
}

float Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  gpu_->check(cudaEventElapsedTime(&milliseconds, start.recorded_event("time runs from"),
                                   recorded_event("time runs to")),
              "cudaEventElapsedTime");
  return milliseconds;
}

}  // namespace birkhoff::cuda
