#include "kernels/readout.h"

#include <gtest/gtest.h>

#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

struct Size {
  int tokens, width, n;
};

std::vector<Tensor> inputs_of(const Size& s) {
  return {random_tensor(f32({s.tokens, s.n * s.width}), "x"),
          random_tensor(f32({s.n * s.width, s.n}), "w", 0.3),
          random_tensor(f32({1}), "scale", 0.3, 1), random_tensor(f32({s.n}), "base")};
}

std::vector<Example> readout_examples() {
  std::vector<Example> all;
  for (const Size s : {Size{1, 1, 1}, {3, 7, 4}, {19, 33, 2}, {5, 6, 3}, {2, 40, 8}, {600, 5, 4}})
    for (const double eps : {1e-20, 1e-2}) {
      const ReadoutDesc desc{.n = s.n, .eps = eps};
      const auto in = inputs_of(s);
      const auto label = fmt::format("{}x{}x{} eps {}", s.tokens, s.n, s.width, eps);
      all.push_back({.op = &kReadout,
                     .inputs = in,
                     .desc = desc,
                     .label = label,
                     .tolerance = 32,  // u sums at most 320 products
                     .scale = 1,
                     .differentiable = s.tokens < 600,
                     .stored = {Readout::x}});
      const auto out = run(kReadout, in, desc);
      all.push_back({.op = &kReadoutBackward,
                     .inputs = {random_tensor(f32({s.tokens, s.width}), "dy"), in[0], in[1], in[2],
                                in[3], out[Readout::u], out[Readout::rho]},
                     .desc = desc,
                     .label = label,
                     .tolerance = 64,  // sums over 600 tokens; u and rho are rounded inputs here
                     .scale = 1,
                     .stored = {ReadoutBackward::dy, ReadoutBackward::x}});
    }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Readout, readout_examples)

// With w = 0 every weight is σ(base) + 1e-6 whatever x is.
TEST(Readout, OfNoProjectionIsAFixedMix) {
  const Tensor x(f32({1, 4}), {1, 2, 30, 40}), w(f32({4, 2}), std::vector<double>(8, 0.0));
  const Tensor scale(f32({1}), {5}), base(f32({2}), {0, -200});
  const auto out = run(kReadout, {x, w, scale, base}, ReadoutDesc{.n = 2}, {.device = Device::cpu});
  const double first = 0.5 + 1e-6, second = 1e-6;  // σ(−200) = 0 in f32
  for (const int c : {0, 1}) {
    const double want = first * x.at(c) + second * x.at(2 + c);
    EXPECT_NEAR(out[Readout::y].at(c), want, 3 * 1.2e-7 * want);  // two products and a sum
  }
}

TEST(Readout, RefusesShapesThatDoNotMatch) {
  const std::vector<TensorSpec> specs = {f32({2, 8}), f32({8, 4}), f32({1}), f32({4})};
  EXPECT_NO_THROW(kReadout.outputs(specs, ReadoutDesc{.n = 4}));
  EXPECT_THROW(kReadout.outputs(specs, ReadoutDesc{.n = 3}), InternalError);
  for (size_t i = 0; i < specs.size(); ++i) {
    auto wrong = specs;
    wrong[i].shape.back() += 1;
    EXPECT_THROW(kReadout.outputs(wrong, ReadoutDesc{.n = 4}), InternalError) << i;
  }
}

}  // namespace
}  // namespace birkhoff::testing
