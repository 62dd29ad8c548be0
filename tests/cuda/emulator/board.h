#pragma once
// What the emulated device is: tests set it. And failures that a program cannot bring about by
// itself. machine.h's reset() puts all back.
#include <cstddef>

#include <cuda_runtime_api.h>

namespace birkhoff::emulator {

struct Board {
  int devices = 1;  // one heap and one set of streams, whatever their number
  int major = 8, minor = 0;
  size_t memory = size_t{64} << 30;
  bool matmul_algorithms = true;  // cuBLASLt has one for what it is asked
  // The call from now on, counted from 1, that fails with `status`; 0: none. Calls that end
  // something, or ask for the last error, are not counted: nobody can do anything about those.
  int failing = 0;
  cudaError_t status = cudaSuccess;
  const char* failed = nullptr;  // the call that did
};

Board& board();

// `status`, or that of a failure which is due in this call.
cudaError_t failing(cudaError_t status, const char* call);

}  // namespace birkhoff::emulator
