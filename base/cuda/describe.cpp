#include "base/describe_cuda.h"

#include <cuda_runtime_api.h>

#include "base/cuda/libraries.h"
#include "base/cuda/ranges.h"
#include "base/format.h"

namespace birkhoff {
namespace {

std::string attribute_line(int device) {
  constexpr cudaDeviceAttr kAttributes[] = {cudaDevAttrComputeCapabilityMajor,
                                            cudaDevAttrComputeCapabilityMinor,
                                            cudaDevAttrMultiProcessorCount};
  int values[3] = {};
  for (int i = 0; i < 3; ++i)
    if (const cudaError_t status = cudaDeviceGetAttribute(&values[i], kAttributes[i], device))
      return cudaGetErrorString(status);
  return fmt::format("sm_{}{}, {} multiprocessors", values[0], values[1], values[2]);
}

// Creates no context, since one takes memory on each device.
std::string devices() {
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count))
    return fmt::format("devices: none: {}", cudaGetErrorString(status));
  std::string text = fmt::format("devices: {}", count);
  for (int d = 0; d < count; ++d) text += fmt::format("\ndevice {}: {}", d, attribute_line(d));
  return text;
}

}  // namespace

std::string describe_cuda() {
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  return fmt::format("cuda: runtime {}.{}\ndriver: {}\ncublasLt: {}\nnccl: {}\nnvtx: {}\n{}",
                     runtime / 1000, runtime / 10 % 100, cuda::load(cuda::driver_need()).line,
                     cuda::load(cuda::cublaslt_need()).line, cuda::load(cuda::nccl_need()).line,
                     cuda::ranges().line(), devices());
}

}  // namespace birkhoff
