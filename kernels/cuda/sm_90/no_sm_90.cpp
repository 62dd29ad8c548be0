// In place of what is compiled for sm_90 and above, where no such architecture is asked for.
#include "base/error.h"
#include "kernels/cuda/mhc_host.h"

namespace birkhoff::cuda {

void mhc_open_cluster(const char* name, const MhcOpenArgs&, const MhcCloseArgs*, cudaStream_t) {
  throw InternalError(
      fmt::format("[{}] cannot be launched: this binary has no kernels for sm_90; build them "
                  "(-DCMAKE_CUDA_ARCHITECTURES), or call it for a capability of 80",
                  name));
}

}  // namespace birkhoff::cuda
