#include "kernels/cuda/device/launched.h"

#include "base/error.h"

namespace birkhoff::cuda {

void allow_shared(const char* name, const void* kernel, const Launch& how) {
  const size_t bytes = how.shared_bytes, most = most_shared_bytes(how);
  if (bytes > most)
    throw InternalError(fmt::format(
        "[{}] cannot be launched: {} bytes of shared memory; at most {}", name, bytes, most));
  // Few bytes too: with what the kernel declares they may be more than go without asking.
  if (bytes > 0)
    require_launched(name, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                int(bytes)));
}

void require_launched(const char* name, cudaError_t status) {
  if (status != cudaSuccess)
    throw InternalError(
        fmt::format("[{}] cannot be launched: {}", name, cudaGetErrorString(status)));
}

}  // namespace birkhoff::cuda
