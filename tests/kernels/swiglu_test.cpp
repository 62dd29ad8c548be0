#include "kernels/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

Tensor offsets(const std::vector<double>& values) {
  return {{{int64_t(values.size())}, DType::i32}, values};
}

std::vector<Example> swiglu_examples() {
  std::vector<Example> all;
  for (const auto& [rows, width] : {std::pair{1, 1}, {3, 7}, {35, 33}, {17, 64}}) {
    const Tensor x = random_tensor(f32({rows, 2 * width}), "x", 3);
    const Tensor dy = random_tensor(f32({rows, width}), "dy");
    for (const Tensor& ends : {Tensor(), offsets({0, 1, double(rows)})}) {
      const std::string label = fmt::format("{}x{}{}", rows, width, ends.bytes.empty() ? "" : " o");
      all.push_back({.op = &kSwiglu, .inputs = {x, ends}, .label = label, .stored = {Swiglu::x}});
      all.push_back({.op = &kSwigluBackward,
                     .inputs = {dy, x, ends},
                     .label = label,
                     .stored = {SwigluBackward::dy, SwigluBackward::x}});
    }
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Swiglu, swiglu_examples)

Tensor stored(DType storage, Shape shape, const std::vector<double>& values) {
  return {{std::move(shape), storage}, values};
}

TEST(Swiglu, KnownValuesFarOut) {
  for (const DType storage : {DType::f32, DType::bf16}) {
    const double ulp = storage == DType::bf16 ? 1.0 / 256 : 1e-7;
    const Tensor x = stored(storage, {1, 10}, {0, 1, -1, 300, -300, 2, 2, 2, 2, 2});
    const Tensor dy = stored(storage, {1, 5}, {1, 1, 1, 1, 1});
    const auto y = run(kSwiglu, {x, {}}, {}, {.device = Device::cpu})[0];
    const auto dx = run(kSwigluBackward, {dy, x, {}}, {}, {.device = Device::cpu})[0];
    const double s = 1 / (1 + std::exp(-1.0));
    const double want[] = {0, 2 * s, -2 * (1 - s), 600, 0}, slope[] = {1, 0, 0, 2, 0};
    for (int i = 0; i < 5; ++i)
      EXPECT_NEAR(y.at(i), want[i], 1e-7 + ulp * std::abs(want[i])) << name_of(storage) << " " << i;
    for (const int i : {0, 3, 4})
      EXPECT_NEAR(dx.at(i), slope[i], 1e-7 + ulp * slope[i]) << name_of(storage) << " " << i;
  }
}

TEST(Swiglu, ANanStaysANan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType storage : {DType::f32, DType::bf16}) {
    const Tensor x = stored(storage, {1, 4}, {nan, 1, 1, nan});
    const Tensor dy = stored(storage, {1, 2}, {1, 1});
    const auto y = run(kSwiglu, {x, {}}, {}, {.device = Device::cpu})[0];
    const auto dx = run(kSwigluBackward, {dy, x, {}}, {}, {.device = Device::cpu})[0];
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(std::isnan(y.at(i)) && std::isnan(dx.at(i))) << i;
  }
}

// Rows from offsets[E] on hold NaN before and after, and the others are the same as without them.
void expect_rows_behind_untouched(DType storage) {
  const auto size = size_of(storage);
  // The f32 reference differs from the cpu body by a few epsilons, and in bf16 by an ulp where the
  // two are on either side of a tie.
  const auto off = [&](double want) {
    return 1e-6 + (storage == DType::bf16 ? std::abs(want) / 128 : 0);
  };
  const int64_t rows = 20, width = 9;
  for (const int64_t valid : {0, 1, 13, 20}) {
    Tensor x = random_tensor({{rows, 2 * width}, storage}, "x");
    Tensor dy = random_tensor({{rows, width}, storage}, "dy");
    const auto want = run(kSwiglu, {x, {}}, {}, {.device = Device::cpu})[0];
    const auto want_dx = run(kSwigluBackward, {dy, x, {}}, {}, {.device = Device::cpu})[0];
    const double nan = std::numeric_limits<double>::signaling_NaN();
    for (int64_t i = valid * 2 * width; i < x.spec.count(); ++i) x.set(i, nan);
    for (int64_t i = valid * width; i < dy.spec.count(); ++i) dy.set(i, nan);
    const Tensor ends = offsets({0, double(valid / 2), double(valid)});
    for (const Device device : {Device::cpu, Device::reference}) {
      const auto y = run(kSwiglu, {x, ends}, {}, {.device = device, .threads = 2})[0];
      const auto dx = run(kSwigluBackward, {dy, x, ends}, {}, {.device = device, .threads = 2})[0];
      const Tensor untouched(y.spec), untouched_dx(dx.spec);
      for (int64_t i = 0; i < rows * width; ++i)
        if (i < valid * width)
          ASSERT_NEAR(y.at(i), want.at(i), off(want.at(i))) << i;
        else
          ASSERT_EQ(
              std::memcmp(&y.bytes[size_t(i) * size], &untouched.bytes[size_t(i) * size], size), 0);
      for (int64_t i = 0; i < rows * 2 * width; ++i)
        if (i < valid * 2 * width)
          ASSERT_NEAR(dx.at(i), want_dx.at(i), off(want_dx.at(i))) << i;
        else
          ASSERT_EQ(
              std::memcmp(&dx.bytes[size_t(i) * size], &untouched_dx.bytes[size_t(i) * size], size),
              0);
    }
  }
}

TEST(Swiglu, RowsBehindTheOffsetsAreNeitherReadNorWritten) {
  for (const DType storage : {DType::f32, DType::bf16}) expect_rows_behind_untouched(storage);
}

TEST(Swiglu, RefusesShapesAndOffsetsThatDoNotFit) {
  const auto ask = [](std::vector<TensorSpec> specs) { return kSwiglu.outputs(specs, {}); };
  EXPECT_THROW(ask({f32({2, 3}), {}}), InternalError);
  EXPECT_THROW(ask({f32({2, 4}), f32({3})}), InternalError);
  for (const double end : {-1.0, 3.0})
    EXPECT_THROW(run(kSwiglu, {random_tensor(f32({2, 4}), "x"), offsets({0, end})}, {},
                     {.device = Device::cpu}),
                 InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
