#include "base/cuda/gpu.h"

#include <cstdlib>

#include "base/cuda/stream.h"
#include "base/error.h"

namespace birkhoff::cuda {
namespace {

constexpr int kLeastMajor = 8;  // sm_80

}  // namespace

bool synchronise_asked() {
  const char* const text = std::getenv("BIRKHOFF_CUDA_SYNC");
  const std::string_view value = text ? text : "";
  if (value != "" && value != "0" && value != "1")
    throw ConfigError(
        fmt::format("BIRKHOFF_CUDA_SYNC={}: 1 waits for the device after each operator, 0 does not",
                    printable(value, 60)));
  return value == "1";
}

Gpu::Gpu(const Options& options) : options_(options) {
  int count = 0, major = 0, minor = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  if (device() < 0 || device() >= count)
    throw ConfigError(
        fmt::format("rank {} wants device {} of {}; start as many ranks on a host as it has GPUs",
                    rank(), device(), count));
  check(cudaSetDevice(device()), "cudaSetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device()),
        "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device()),
        "cudaDeviceGetAttribute");
  if (major < kLeastMajor)
    throw ConfigError(fmt::format("rank {}, device {} is sm_{}{}; kernels are for sm_{}0 and later",
                                  rank(), device(), major, minor, kLeastMajor));
}

void Gpu::begin(const char* op) {
  birkhoff::check(*op_ == 0, "[{}] begins inside of {}", op, op_);
  op_ = op;
  options_.ranges->push(op);
}

void Gpu::end() {
  options_.ranges->pop();
  op_ = "";
}

void Gpu::finish(const Stream& stream) const {
  check(cudaPeekAtLastError(), "cudaPeekAtLastError");
  if (options_.synchronise) stream.synchronise();
}

std::string Gpu::failed(const char* call) const {
  return failed_text({cudaSuccess, call, op_, rank(), device()});
}

// An error that does not last is taken back, or the next operator would be told of it.
void Gpu::fail(cudaError_t status, const char* call) const {
  cudaGetLastError();
  throw_failure({status, call, op_, rank(), device(), options_.synchronise});
}

}  // namespace birkhoff::cuda
