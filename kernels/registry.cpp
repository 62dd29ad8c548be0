#include "kernels/adamw.h"
#include "kernels/balance.h"
#include "kernels/dispatch.h"
#include "kernels/norm.h"
#include "kernels/linear.h"
#include "kernels/operator.h"
#include "kernels/rms_norm.h"
#include "kernels/route.h"
#include "kernels/route_layout.h"
#include "kernels/weighted_sum.h"
#include "kernels/attention.h"
#include "kernels/decode.h"
#include "kernels/identity.h"
#include "kernels/mla_keys.h"
#include "kernels/operator.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/split.h"
#include "kernels/swiglu.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kRmsNorm,    &kRmsNormBackward,  &kRoute,       &kRouteBackward,   &kRouteLayout,
      &kDispatch,   &kDispatchBackward, &kCombine,     &kCombineBackward, &kBalanceUpdate,
      &kSquaredSum, &kClipScale,        &kWeightedSum, &kBroadcastScale,  &kAdamW,
      &kAttention,
      &kAttentionBackward,
      &kAttentionDecode,
      &kCacheWrite,
      &kConcat,
      &kIdentity,
      &kMlaKeys,
      &kMlaKeysBackward,
      &kRope,
      &kSplit,
      &kSwiglu,
      &kSwigluBackward,
      &kRmsNorm,
      &kRmsNormBackward,
      &kLinear, &kLinearDx, &kLinearDw, &kRmsNorm, &kRmsNormBackward,
  };
  return kAll;
}

}  // namespace birkhoff
