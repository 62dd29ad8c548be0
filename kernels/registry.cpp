#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/balance.h"
#include "kernels/decode.h"
#include "kernels/dispatch.h"
#include "kernels/embedding.h"
#include "kernels/grouped_linear.h"
#include "kernels/hc.h"
#include "kernels/identity.h"
#include "kernels/linear.h"
#include "kernels/linear_cross_entropy.h"
#include "kernels/mhc.h"
#include "kernels/mla_keys.h"
#include "kernels/norm.h"
#include "kernels/operator.h"
#include "kernels/readout.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/route.h"
#include "kernels/route_layout.h"
#include "kernels/split.h"
#include "kernels/stream_statistics.h"
#include "kernels/streams.h"
#include "kernels/swiglu.h"
#include "kernels/weighted_sum.h"

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
      &kEmbedding,
      &kEmbeddingBackward,
      &kGroupedLinear,
      &kGroupedLinearDx,
      &kGroupedLinearDw,
      &kHcOpen,
      &kHcOpenBackward,
      &kIdentity,
      &kLinear,
      &kLinearDx,
      &kLinearDw,
      &kLinearCrossEntropy,
      &kLinearCrossEntropyLoss,
      &kMhcOpen,
      &kMhcOpenBackward,
      &kMhcClose,
      &kMhcCloseBackward,
      &kMlaKeys,
      &kMlaKeysBackward,
      &kSquaredSum,
      &kClipScale,
      &kReadout,
      &kReadoutBackward,
      &kRmsNorm,
      &kRmsNormBackward,
      &kRope,
      &kRoute,
      &kRouteBackward,
      &kRouteLayout,
      &kSplit,
      &kConcat,
      &kCopyStreams,
      &kSumStreams,
      &kSpreadStreams,
      &kMeanStreams,
      &kStreamStatistics,
      &kSwiglu,
      &kSwigluBackward,
      &kWeightedSum,
      &kBroadcastScale,
  };
  return kAll;
}

}  // namespace birkhoff
