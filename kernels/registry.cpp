#include "kernels/embedding.h"
#include "kernels/grouped_linear.h"
#include "kernels/linear.h"
#include "kernels/linear_cross_entropy.h"
#include "kernels/operator.h"
#include "kernels/rms_norm.h"

namespace birkhoff {

std::span<const Operator* const> registry() {
  static constexpr const Operator* kAll[] = {
      &kEmbedding,
      &kEmbeddingBackward,
      &kGroupedLinear,
      &kGroupedLinearDx,
      &kGroupedLinearDw,
      &kLinear,
      &kLinearDx,
      &kLinearDw,
      &kLinearCrossEntropy,
      &kLinearCrossEntropyBackward,
      &kRmsNorm,
      &kRmsNormBackward,
  };
  return kAll;
}

}  // namespace birkhoff
