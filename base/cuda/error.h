#pragma once
// Turns a failed call of CUDA's runtime into an exception of base/error.h. The message is one line
// with the rank, the device, the call, the running operator and CUDA's own reason. The exception's
// type says who has to act:
//
//   config    2  no device, a driver or a device that cannot run this build
//   resource  5  no memory; hardware that failed, or that another process holds
//   internal  9  everything else: a wrong call, or a faulty kernel
//
// A kernel runs later than it is launched, so its fault is reported by whatever call comes next.
// Unless each operator is waited for, the line then says that an earlier one may be the cause.
#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

namespace birkhoff::cuda {

struct Failure {
  cudaError_t status;
  const char* call;     // "cudaMemcpyAsync"
  std::string_view op;  // the running operator; empty: none
  int rank = 0, device = 0;
  bool synchronised = false;     // whether every earlier operator has been waited for
  std::string_view kernel = {};  // the kernel to be launched; empty: none
};

inline constexpr int kNoRank = -1;  // outside of run(): the line names no rank

// For example "rank 3, device 0: cudaMemcpyAsync failed in linear_dw" or "… cudaLaunchKernelExC
// failed in adamw, kernel adamw". Also serves failures of other calls than the runtime's.
std::string failed_text(const Failure& failure);

[[noreturn]] void throw_failure(const Failure& failure);

}  // namespace birkhoff::cuda
