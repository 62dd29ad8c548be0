#include "base/cuda/error.h"

#include "base/error.h"

namespace birkhoff::cuda {
namespace {

ExitCode exit_code(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorSystemDriverMismatch:
      return ExitCode::config;
    case cudaErrorMemoryAllocation:
    case cudaErrorDevicesUnavailable:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorSystemNotReady:
      return ExitCode::resource;
    default:
      return ExitCode::internal;
  }
}

// Whether a kernel caused the error, some time before the call that reports it.
bool by_a_kernel(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

std::string culprit(const Failure& f) {
  if (!by_a_kernel(f.status)) return "";
  if (f.synchronised) return f.op.empty() ? "" : fmt::format("; caused by a kernel of {}", f.op);
  return fmt::format(
      "; caused by a kernel of {}an earlier operator; set BIRKHOFF_CUDA_SYNC=1 to find out which",
      f.op.empty() ? "" : fmt::format("{} or of ", f.op));
}

}  // namespace

std::string failed_text(const Failure& f) {
  return fmt::format("{}device {}: {} failed{}{}",
                     f.rank == kNoRank ? "" : fmt::format("rank {}, ", f.rank), f.device, f.call,
                     f.op.empty() ? "" : fmt::format(" in {}", f.op),
                     f.kernel.empty() ? "" : fmt::format(", kernel {}", f.kernel));
}

void throw_failure(const Failure& f) {
  throw_error(exit_code(f.status),
              fmt::format("{}: {}, {}{}", failed_text(f), cudaGetErrorName(f.status),
                          cudaGetErrorString(f.status), culprit(f)));
}

}  // namespace birkhoff::cuda
