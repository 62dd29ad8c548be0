#include "kernels/identity.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

std::vector<Example> identity_examples() {
  std::vector<Example> all;
  for (const Shape& shape : {Shape{1}, {3, 5}, {2, 3, 7}, {kIdentityElements + 3}})
    all.push_back({.op = &kIdentity,
                   .inputs = {random_tensor({shape, DType::f32}, "x")},
                   .label = to_string(shape),
                   .differentiable = count(shape) < kIdentityElements,
                   .stored = {Identity::x}});
  all.push_back({.op = &kIdentity,
                 .inputs = {Tensor({{2, 2}, DType::i32}, {1, -2, 3, 1 << 30})},
                 .label = "i32",
                 .differentiable = false});
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Identity, identity_examples)

TEST(Identity, CopiesEveryDtypeBitForBit) {
  for (const DType t : {DType::f32, DType::bf16, DType::i32, DType::i64, DType::f64}) {
    const Tensor x({{3}, t}, {-1, 0, 7});
    expect_same_bits(run(kIdentity, {x}, {}, {.device = Device::cpu})[0], x, "copy");
  }
}

}  // namespace
}  // namespace birkhoff::testing
