#include "base/cuda/gpu.h"

#include <cstdlib>

#include "base/cuda/stream.h"
#include "base/error.h"

namespace birkhoff::cuda {
namespace {

constexpr int kLeastMajor = 8;  // sm_80

// The Gpu whose run() this thread is in. Thread-local, as CUDA's current device is.
thread_local const Gpu* at_work = nullptr;

// Clears an error that is not sticky, since the next operator would report it.
[[noreturn]] void throw_once(const Failure& failure) {
  cudaGetLastError();
  throw_failure(failure);
}

}  // namespace

bool synchronise_asked() {
  const char* const text = std::getenv("BIRKHOFF_CUDA_SYNC");
  const std::string_view value = text ? text : "";
  if (value != "" && value != "0" && value != "1")
    throw ConfigError(fmt::format(
        "BIRKHOFF_CUDA_SYNC={}: must be 1 (wait for the device after each operator) or 0",
        printable(value, 60)));
  return value == "1";
}

Gpu::Gpu(const Options& options) : options_(options) {
  int count = 0, major = 0, minor = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (device() < 0 || device() >= count)
    throw ConfigError(
        fmt::format("rank {} needs device {}, but this host has {}; start at most one rank per GPU",
                    rank(), device(), count));
  check(cudaSetDevice(device()), "cudaSetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device()),
        "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device()),
        "cudaDeviceGetAttribute");
  if (major < kLeastMajor)
    throw ConfigError(
        fmt::format("rank {}, device {}: the GPU is sm_{}{}, but the kernels need sm_{}0 or later; "
                    "use a newer GPU",
                    rank(), device(), major, minor, kLeastMajor));
}

void Gpu::begin(const char* op) {
  birkhoff::check(!at_work, "[{}] begins before {} has ended", op, at_work ? at_work->op_ : "");
  op_ = op;
  at_work = this;
  options_.ranges->push(op);
}

void Gpu::end() {
  options_.ranges->pop();
  op_ = "";
  at_work = nullptr;
}

void Gpu::finish(const Stream& stream) const {
  check(cudaPeekAtLastError(), "cudaPeekAtLastError");
  if (options_.synchronise) stream.synchronise();
}

std::string Gpu::failed(const char* call) const { return failed_text(failure(cudaSuccess, call)); }

void Gpu::check_launch(cudaError_t status, const char* call, const char* kernel) {
  if (status != cudaSuccess) throw_once(launch_failure(status, call, kernel));
}

std::string Gpu::launch_failed(const char* kernel) {
  return failed_text(launch_failure(cudaSuccess, "launch", kernel));
}

Failure Gpu::failure(cudaError_t status, const char* call) const {
  return {status, call, op_, rank(), device(), options_.synchronise};
}

Failure Gpu::launch_failure(cudaError_t status, const char* call, const char* kernel) {
  Failure failure{.status = status, .call = call, .op = "", .rank = kNoRank};
  if (at_work)
    failure = at_work->failure(status, call);
  else
    cudaGetDevice(&failure.device);
  failure.kernel = kernel;
  return failure;
}

void Gpu::fail(cudaError_t status, const char* call) const { throw_once(failure(status, call)); }

}  // namespace birkhoff::cuda
