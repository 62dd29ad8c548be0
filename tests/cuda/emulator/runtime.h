#pragma once
// Defines the symbols of CUDA's runtime, so that host code linked with it runs on the emulated
// device. No call throws; errors that it finds are recorded as machine.h's fault(), which
// cudaGetErrorString returns. Memory and copies are in runtime_memory.cpp, the rest in runtime.cpp.
#include <cuda_runtime_api.h>

namespace birkhoff::emulator {

// What `call` returns: `status`, unless the board makes it fail or a fault was found before.
cudaError_t result(cudaError_t status, const char* call = __builtin_FUNCTION());

void reset_memory();  // drops all allocations, pinned memory and pending copies

}  // namespace birkhoff::emulator
