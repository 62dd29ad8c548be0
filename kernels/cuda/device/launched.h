#pragma once
// The host's half of a launch, for both branches of the vocabulary: apart, since nvcc cannot
// compile fmt. What is refused throws as base/cuda/error.h says, with the kernel's name, and with
// the operator, rank and device of the Gpu at work (Gpu::check_launch).
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// Lets a launch of `kernel` add its bytes of shared memory. Throws InternalError if no device has
// so many beside what it declares. Not for two threads and one kernel at a time: the last one
// holds.
void allow_shared(const char* name, const void* kernel, const Launch& how);

// Throws unless `status`, of the launch, is a success.
void require_launched(const char* name, cudaError_t status);

}  // namespace birkhoff::cuda
