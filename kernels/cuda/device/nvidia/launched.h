#pragma once
// The host's half of a launch that failed, for nvcc's branch: apart, since nvcc cannot compile fmt.
#include <cuda_runtime_api.h>

namespace birkhoff::cuda {

// Throws InternalError unless `status` is a success.
void require_launched(cudaError_t status, const char* name);

}  // namespace birkhoff::cuda
