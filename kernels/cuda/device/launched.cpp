#include "kernels/cuda/device/launched.h"

#include "base/cuda/gpu.h"
#include "base/error.h"

namespace birkhoff::cuda {

void allow_shared(const char* name, const void* kernel, const Launch& how) {
  const size_t bytes = how.shared_bytes, most = most_shared_bytes(how);
  if (bytes > most)
    throw InternalError(
        fmt::format("{}: {} bytes of shared memory are more than the {} that a block can have",
                    Gpu::launch_failed(name), bytes, most));
  // A few bytes need it too: with the kernel's static shared memory they may exceed the default.
  if (bytes > 0)
    Gpu::check_launch(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)),
        "cudaFuncSetAttribute", name);
}

void require_launched(const char* name, cudaError_t status) {
  Gpu::check_launch(status, "cudaLaunchKernelExC", name);
}

}  // namespace birkhoff::cuda
