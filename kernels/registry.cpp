#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/balance.h"
#include "kernels/decode.h"
#include "kernels/dispatch.h"
#include "kernels/identity.h"
#include "kernels/linear.h"
#include "kernels/mla_keys.h"
#include "kernels/norm.h"
#include "kernels/mhc.h"
#include "kernels/operator.h"
#include "kernels/readout.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/route.h"
#include "kernels/route_layout.h"
#include "kernels/split.h"
#include "kernels/swiglu.h"
#include "kernels/weighted_sum.h"
#include "kernels/streams.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kAdamW,
      &kAttention,
      &kAttentionBackward,
      &kBalanceUpdate,
      &kCacheWrite,
      &kAttentionDecode,
      &kDispatch,
      &kDispatchBackward,
      &kCombine,
      &kCombineBackward,
      &kIdentity,
      &kLinear,
      &kLinearDx,
      &kLinearDw,
      &kMlaKeys,
      &kMlaKeysBackward,
      &kSquaredSum,
      &kClipScale,
      &kRmsNorm,
      &kRmsNormBackward,
      &kRope,
      &kRoute,
      &kRouteBackward,
      &kRouteLayout,
      &kSplit,
      &kConcat,
      &kSwiglu,
      &kSwigluBackward,
      &kWeightedSum,
      &kBroadcastScale,
      &kRmsNorm,         &kRmsNormBackward, &kCopyStreams,      &kSumStreams, &kMhcOpen,
      &kMhcOpenBackward, &kMhcClose,        &kMhcCloseBackward, &kReadout,    &kReadoutBackward,
  };
  return kAll;
}

}  // namespace birkhoff
