// Stands in for the files of this folder in builds without an architecture of sm_90 or above.
#include "base/cuda/gpu.h"
#include "base/error.h"
#include "kernels/cuda/mhc_host.h"
#include "kernels/cuda/mhc_passes.h"

namespace birkhoff::cuda {
namespace {

[[noreturn]] void refuse(const char* name) {
  throw InternalError(
      fmt::format("{}: this binary has no kernels for sm_90; build them with "
                  "-DCMAKE_CUDA_ARCHITECTURES, or call it for a capability of 80",
                  Gpu::launch_failed(name)));
}

}  // namespace

void mhc_open_cluster(const char* name, const MhcOpenArgs&, const MhcCloseArgs*, cudaStream_t) {
  refuse(name);
}
void mhc_open_backward_cluster(const MhcOpenBackwardArgs&, cudaStream_t) {
  refuse("mhc_open_backward");
}

}  // namespace birkhoff::cuda
