#pragma once
// The host's half of a launch, for both branches of the vocabulary: apart, since nvcc cannot
// compile fmt.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

// Lets a launch of `kernel` add its bytes of shared memory. Throws InternalError if no device has
// so many beside what it declares. Not for two threads and one kernel at a time: the last one
// holds.
void allow_shared(const char* name, const void* kernel, const Launch& how);

// Throws InternalError unless `status` is a success.
void require_launched(const char* name, cudaError_t status);

}  // namespace birkhoff::cuda
