// Pass (b) of mHC's backward.
#include "kernels/cuda/backward_sums.h"
#include "kernels/cuda/mhc_backward_map.h"

namespace birkhoff::cuda {

void mhc_coefficients_backward(const MhcOpenBackwardArgs& a, cudaStream_t stream) {
  launch_coefficients_backward<MhcBackwardMap>("mhc_coefficients_backward", a,
                                               mhc_open_backward_cut(a), stream);
}

}  // namespace birkhoff::cuda
