#pragma once
// CUDA's runtime by symbol: host code that is linked with it runs on the emulated device. A call
// never throws; what it finds is machine.h's fault(), which cudaGetErrorString repeats. Memory and
// copies are in runtime_memory.cpp, all else in runtime.cpp.
#include <cuda_runtime_api.h>

namespace birkhoff::emulator {

// What a call returns: `status`, unless the board makes it fail, or a fault was found before.
cudaError_t result(cudaError_t status, const char* call = __builtin_FUNCTION());

void reset_memory();  // nothing is allocated, pinned or under way

}  // namespace birkhoff::emulator
