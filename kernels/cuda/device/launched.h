#pragma once
// The host side of a launch, shared by nvidia/ and emulated/. It is separate because nvcc cannot
// compile fmt. A failed launch throws as described in base/cuda/error.h, with the kernel's name and
// the operator, rank and device of the Gpu at work (Gpu::check_launch).
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// Allows `kernel` to be launched with how.shared_bytes of dynamic shared memory. Throws
// InternalError if no device has that much beside the kernel's static shared memory. Two threads
// must not call it for the same kernel at the same time: the last call wins.
void allow_shared(const char* name, const void* kernel, const Launch& how);

// Throws unless `status`, the result of the launch, is success.
void require_launched(const char* name, cudaError_t status);

}  // namespace birkhoff::cuda
