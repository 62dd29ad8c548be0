#include "engine/train/operator_kinds.h"

#include <algorithm>
#include <initializer_list>

#include "kernels/attention.h"
#include "kernels/grouped_linear.h"
#include "kernels/hc.h"
#include "kernels/linear.h"
#include "kernels/linear_cross_entropy.h"
#include "kernels/mhc.h"
#include "kernels/readout.h"
#include "kernels/stream_statistics.h"

namespace birkhoff {
namespace {

bool is_one_of(const Operator& op, std::initializer_list<const Operator*> all) {
  return std::find(all.begin(), all.end(), &op) != all.end();
}

}  // namespace

bool is_matrix_product(const Operator& op) {
  return is_one_of(op, {&kLinear, &kLinearDx, &kLinearDw, &kGroupedLinear, &kGroupedLinearDx,
                        &kGroupedLinearDw, &kLinearCrossEntropy, &kLinearCrossEntropyLoss});
}

bool is_attention(const Operator& op) { return is_one_of(op, {&kAttention, &kAttentionBackward}); }

bool is_of_streams(const Operator& op) {
  return is_one_of(op, {&kMhcOpen, &kMhcOpenBackward, &kMhcClose, &kMhcCloseBackward, &kHcOpen,
                        &kHcOpenBackward, &kCopyStreams, &kSumStreams, &kSpreadStreams,
                        &kMeanStreams, &kReadout, &kReadoutBackward, &kStreamStatistics});
}

bool multiplies_bf16(const Operator& op, Specs in, const Desc& desc) {
  const auto stored = [&](int i) { return in[size_t(i)].dtype == DType::bf16; };
  if (&op == &kLinear) return stored(Linear::x) && !desc.as<LinearDesc>().full_w;
  if (&op == &kLinearDx) return stored(LinearDx::dy) && !desc.as<LinearDesc>().full_w;
  if (&op == &kLinearDw) return stored(LinearDw::dy) && stored(LinearDw::x);
  return (is_matrix_product(op) || is_attention(op)) && stored(0);
}

}  // namespace birkhoff
