#include "kernels/rms_norm.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

std::vector<Example> rms_norm_examples() {
  std::vector<Example> all;
  for (const auto& [tokens, width] : {std::pair{1, 1}, {3, 7}, {5, 64}, {130, 33}}) {
    const Tensor x = random_tensor(f32({tokens, width}), "x"),
                 gain = random_tensor(f32({width}), "gain", 0.3, 1),
                 dy = random_tensor(f32({tokens, width}), "dy");
    for (const double eps : {1e-20, 1e-2}) {
      const RmsNorm::Desc desc{.eps = eps};
      all.push_back({.op = &kRmsNorm, .inputs = {x, gain}, .desc = desc, .stored = {RmsNorm::x}});
      const auto out = run(kRmsNorm, {x, gain}, desc);
      all.push_back({.op = &kRmsNormBackward,
                     .inputs = {dy, x, gain, out[RmsNorm::rstd]},
                     .label = fmt::format("backward {}x{}", tokens, width),
                     .tolerance = 64,  // dgain sums 130 tokens
                     .scale = 1,       // at width 1 dx is a difference of equal terms
                     .stored = {RmsNormBackward::dy, RmsNormBackward::x}});
    }
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(RmsNorm, rms_norm_examples)

TEST(RmsNorm, RefusesShapesThatDoNotMatch) {
  const std::vector<TensorSpec> specs = {f32({2, 3}), f32({4})};
  EXPECT_THROW(kRmsNorm.outputs(specs, RmsNorm::Desc{}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
