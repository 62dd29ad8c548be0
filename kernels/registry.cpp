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

std::string_view name_of(Device device) {
  constexpr std::string_view kNames[] = {"cpu", "cuda", "reference"};
  return kNames[size_t(device)];
}

const Implementation* implementation(const Operator& op, Specs in, const Desc& desc,
                                     const Target& target) {
  for (const Implementation& i : op.implementations[size_t(target.device)])
    if (!i.accepts || i.accepts(in, desc, target.features)) return &i;
  return nullptr;
}

Workspace workspace(const Operator& op, Specs in, const Desc& desc, const Target& target) {
  const Implementation* chosen = implementation(op, in, desc, target);
  return chosen && chosen->workspace ? chosen->workspace(in, desc) : Workspace();
}

}  // namespace birkhoff
