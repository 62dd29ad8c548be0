#pragma once
// Properties of the emulated device, and failures that a program cannot cause by itself; tests set
// them. machine.h's reset() restores the defaults.
#include <cstddef>

#include <cuda_runtime_api.h>

namespace birkhoff::emulator {

struct Board {
  int devices = 1;  // all share one heap and one set of streams
  int major = 8, minor = 0;
  size_t memory = size_t{64} << 30;
  bool matmul_algorithms = true;  // whether cuBLASLt finds an algorithm
  // The call, counted from 1 from now on, that fails with `status`; 0: none. Calls that release
  // something or return the last error are not counted, as a caller cannot handle their failure.
  int failing = 0;
  cudaError_t status = cudaSuccess;
  const char* failed = nullptr;  // the call that failed
};

Board& board();

// Returns `status`, or the board's status if this call is the one to fail.
cudaError_t failing(cudaError_t status, const char* call);

}  // namespace birkhoff::emulator
