#pragma once
// A rank's GPU: its device, its rank and the running operator, for error messages and profilers.
// Each rank has one; it outlives everything on the device. Not thread-safe: all calls come from the
// thread that made it.
#include "base/cuda/error.h"
#include "base/cuda/ranges.h"

namespace birkhoff::cuda {

class Stream;

// Whether BIRKHOFF_CUDA_SYNC asks for GpuOptions::synchronise: "1" does; "0", empty and unset do
// not. Throws ConfigError for anything else.
bool synchronise_asked();

struct GpuOptions {
  int device = 0, rank = 0;
  // Waits for the stream at the end of each operator, so that a kernel's fault is reported by the
  // operator that caused it. Slow: the host no longer runs ahead, and nothing overlaps.
  bool synchronise = synchronise_asked();
  const Ranges* ranges = &cuda::ranges();
};

class Gpu {
 public:
  using Options = GpuOptions;
  // Selects the device for this thread. Throws ConfigError if no device has that number, or if it
  // is older than sm_80, for which no kernel is built.
  explicit Gpu(const Options& options = {});
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  int device() const { return options_.device; }
  int rank() const { return options_.rank; }

  // Throws (error.h) unless `status` is a success. `call` names the runtime's function.
  void check(cudaError_t status, const char* call) const {
    if (status != cudaSuccess) fail(status, call);
  }

  // error.h's text for a failed call, for functions of other libraries.
  std::string failed(const char* call) const;

  // check() for kernel launchers, which are given a stream and no Gpu. The line names the Gpu whose
  // run() this thread is in; outside of any, it names the thread's device and no rank.
  static void check_launch(cudaError_t status, const char* call, const char* kernel);
  // failed() for kernel launchers, for a launch that is refused before CUDA is called.
  static std::string launch_failed(const char* kernel);

  // Runs body(), which gives work to `stream`, as operator `op`: errors and the profiler's range
  // have that name. A rejected launch is found at the end, at the latest. `op` outlives the call.
  template <class F>
  void run(const char* op, const Stream& stream, F&& body) {
    const Work work(*this, op);
    body();
    finish(stream);
  }

 private:
  struct Work {
    Work(Gpu& on, const char* op) : gpu(on) { gpu.begin(op); }
    ~Work() { gpu.end(); }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    Gpu& gpu;
  };
  void begin(const char* op);
  void end();
  void finish(const Stream& stream) const;
  Failure failure(cudaError_t status, const char* call) const;
  static Failure launch_failure(cudaError_t status, const char* call, const char* kernel);
  [[noreturn]] void fail(cudaError_t status, const char* call) const;

  Options options_;
  const char* op_ = "";
};

}  // namespace birkhoff::cuda
