#include "kernels/adamw.h"
#include "kernels/balance.h"
#include "kernels/dispatch.h"
#include "kernels/norm.h"
#include "kernels/operator.h"
#include "kernels/rms_norm.h"
#include "kernels/route.h"
#include "kernels/route_layout.h"
#include "kernels/weighted_sum.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kRmsNorm,    &kRmsNormBackward,  &kRoute,       &kRouteBackward,   &kRouteLayout,
      &kDispatch,   &kDispatchBackward, &kCombine,     &kCombineBackward, &kBalanceUpdate,
      &kSquaredSum, &kClipScale,        &kWeightedSum, &kBroadcastScale,  &kAdamW,
  };
  return kAll;
}

}  // namespace birkhoff
