#pragma once
// What a call of CUDA's runtime that failed becomes: one line with the rank, the device, the call,
// the operator that was at work and CUDA's own reason, as the exception of base/error.h that says
// who has to act:
//
//   config    2  no device, a driver or a device that cannot run this build
//   resource  5  no memory; hardware that failed, or that another process holds
//   internal  9  all else: a wrong call, or a kernel that did what it must not
//
// A kernel runs later than it is launched, so its fault is told by whatever call comes next. Unless
// each operator is waited for, the line then says that an earlier one may have done it.
#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

namespace birkhoff::cuda {

struct Failure {
  cudaError_t status;
  const char* call;     // "cudaMemcpyAsync"
  std::string_view op;  // at work; empty: none
  int rank = 0, device = 0;
  bool synchronised = false;     // all operators before have been waited for
  std::string_view kernel = {};  // that was to be launched; empty: none
};

inline constexpr int kNoRank = -1;  // of a thread that has no Gpu at work: the line has none

// "rank 3, device 0: cudaMemcpyAsync failed in linear_dw", "… cudaLaunchKernelExC failed in adamw,
// kernel adamw": also for what is no call of the runtime.
std::string failed_text(const Failure& failure);

[[noreturn]] void throw_failure(const Failure& failure);

}  // namespace birkhoff::cuda
