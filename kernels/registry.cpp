#include "kernels/mhc.h"
#include "kernels/operator.h"
#include "kernels/readout.h"
#include "kernels/rms_norm.h"
#include "kernels/streams.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kRmsNorm,         &kRmsNormBackward, &kCopyStreams,      &kSumStreams, &kMhcOpen,
      &kMhcOpenBackward, &kMhcClose,        &kMhcCloseBackward, &kReadout,    &kReadoutBackward,
  };
  return kAll;
}

}  // namespace birkhoff
