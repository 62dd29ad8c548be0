#include "kernels/linear.h"
#include "kernels/operator.h"
#include "kernels/rms_norm.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kLinear, &kLinearDx, &kLinearDw, &kRmsNorm, &kRmsNormBackward,
  };
  return kAll;
}

}  // namespace birkhoff
