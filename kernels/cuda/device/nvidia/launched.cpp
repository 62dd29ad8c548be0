#include "kernels/cuda/device/nvidia/launched.h"

#include "base/error.h"

namespace birkhoff::cuda {

void require_launched(cudaError_t status, const char* name) {
  if (status != cudaSuccess)
    throw InternalError(
        fmt::format("[{}] cannot be launched: {}", name, cudaGetErrorString(status)));
}

}  // namespace birkhoff::cuda
