#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/instruction_sets.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }

Tensor first_rows(const Tensor& t, int64_t rows) {
  Shape shape = t.spec.shape;
  shape[0] = rows;
  Tensor out(f32(shape));
  std::copy_n(t.bytes.begin(), out.bytes.size(), out.bytes.begin());
  return out;
}

struct Size {
  int64_t tokens, n, k;
};

Example linear_example(const Size& s, const LinearDesc& desc = {}) {
  return {.op = &kLinear,
          .inputs = {random_tensor(f32({s.tokens, s.k}), "x"), random_tensor(f32({s.n, s.k}), "w")},
          .desc = desc,
          .label = fmt::format("{}x{}x{} {}", s.tokens, s.n, s.k, Desc(desc).text()),
          .stored = {Linear::x},
          .read_as_stored = desc.full_w ? std::vector<int>() : std::vector<int>{Linear::w}};
}
Example dx_example(const Size& s, const LinearDesc& desc = {}) {
  Example e = {
      .op = &kLinearDx,
      .inputs = {random_tensor(f32({s.tokens, s.n}), "dy"), random_tensor(f32({s.n, s.k}), "w"),
                 desc.wide_y ? random_tensor(f32({s.tokens, s.k}), "x") : Tensor()},
      .desc = desc,
      .label = fmt::format("{}x{}x{} {}", s.tokens, s.n, s.k, Desc(desc).text()),
      .stored = {desc.wide_y ? LinearDx::x : LinearDx::dy}};
  if (!desc.full_w) e.read_as_stored = {LinearDx::w};
  return e;
}
Example dw_example(const Size& s, bool wide_dy = false) {
  Example e = {.op = &kLinearDw,
               .inputs = {random_tensor(f32({s.tokens, s.n}), "dy"),
                          random_tensor(f32({s.tokens, s.k}), "x")},
               .label = fmt::format("{}x{}x{}", s.tokens, s.n, s.k),
               .stored = {LinearDw::x}};
  if (!wide_dy) e.stored.push_back(LinearDw::dy);
  return e;
}

std::vector<Example> linear_examples() {
  std::vector<Example> all;
  for (const Size& s : {Size{1, 1, 1}, {3, 2, 5}, {13, 17, 7}, {5, 49, 65}, {9, 3, 33}}) {
    all.push_back(linear_example(s));
    all.push_back(dx_example(s));
    all.push_back(dw_example(s));
    all.push_back(dw_example(s, true));
    for (const LinearDesc wide : {LinearDesc{.wide_y = true}, {.wide_y = true, .full_w = true}}) {
      all.push_back(linear_example(s, wide));
      all.push_back(dx_example(s, wide));
    }
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Linear, linear_examples)

// Sizes beyond one chunk of k, one tile and one strip, with every kind of remainder. There is no
// gradient check, since the small sizes have one.
TEST(Linear, LargerSizesMatchReference) {
  for (const Size& s : {Size{300, 257, 129},
                        {17, 97, 259},
                        {1, 100, 600},
                        {65, 63, 515},
                        {9, 53, 1027},
                        {1027, 9, 53},
                        {53, 2049, 9}})
    for (Example e : {linear_example(s), dx_example(s), dw_example(s)}) {
      e.differentiable = false;
      check_operator(e);
    }
}

// Also checks the instruction sets other than the best, since their register tiles differ.
TEST(Linear, EveryInstructionSetMatchesReference) {
  on_other_instruction_sets([] {
    for (Example e : {linear_example({15, 29, 261}), dx_example({15, 261, 29}),
                      dw_example({261, 15, 29}), dw_example({5, 70, 49})}) {
      e.differentiable = false;
      check_operator(e);
    }
  });
}

// 512³ against sums in double of the same floats, without the reference body. Error of a chain of
// 256 fused multiply-adds: at most 256 half epsilons of Σ|a·b| ≈ 512·0.64; rounding errors are
// random, so √256 of them is typical and 8 times that is never seen.
TEST(Linear, Cube512MatchesDouble) {
  constexpr int64_t kN = 512;
  const Tensor x = random_tensor(f32({kN, kN}), "x"), w = random_tensor(f32({kN, kN}), "w");
  const auto y = run(kLinear, {x, w}, LinearDesc(), {.device = Device::cpu, .threads = 2});
  const auto dx = run(kLinearDx, {x, w, {}}, LinearDesc(), {.device = Device::cpu, .threads = 2});
  const auto dw = run(kLinearDw, {x, w}, {}, {.device = Device::cpu, .threads = 2});
  const auto xs = x.values(), ws = w.values();
  for (int64_t i = 0; i < kN; i += 7)
    for (int64_t j = i % 5; j < kN; j += 5) {
      double a = 0, b = 0, c = 0;
      for (int64_t k = 0; k < kN; ++k) {
        a += xs[size_t(i * kN + k)] * ws[size_t(j * kN + k)];
        b += xs[size_t(i * kN + k)] * ws[size_t(k * kN + j)];
        c += xs[size_t(k * kN + i)] * ws[size_t(k * kN + j)];
      }
      const double bound = 8 * 16 * 6e-8 * std::sqrt(512.0);
      ASSERT_NEAR(y[0].at(i * kN + j), a, bound) << i << "," << j;
      ASSERT_NEAR(dx[0].at(i * kN + j), b, bound) << i << "," << j;
      ASSERT_NEAR(dw[0].at(i * kN + j), c, bound) << i << "," << j;
    }
}

TEST(Linear, RowsDoNotDependOnHowManyThereAre) {
  const Tensor w = random_tensor(f32({101, 301}), "w");
  const Tensor x = random_tensor(f32({700, 301}), "x"), dy = random_tensor(f32({700, 101}), "dy");
  const RunOptions cpu{.device = Device::cpu, .threads = 2};
  const auto y = run(kLinear, {x, w}, LinearDesc(), cpu),
             dx = run(kLinearDx, {dy, w, {}}, LinearDesc(), cpu);
  for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 15, 31, 63, 64, 65, 100, 129, 256, 257, 513}) {
    const auto some = run(kLinear, {first_rows(x, rows), w}, LinearDesc(), cpu);
    expect_same_bits(some[0], first_rows(y[0], rows), fmt::format("y of {} rows", rows));
    const auto some_dx = run(kLinearDx, {first_rows(dy, rows), w, {}}, LinearDesc(), cpu);
    expect_same_bits(some_dx[0], first_rows(dx[0], rows), fmt::format("dx of {} rows", rows));
  }
}

TEST(Linear, NotFiniteRowsStayAlone) {
  Tensor x = random_tensor(f32({19, 35}), "x");
  const Tensor w = random_tensor(f32({21, 35}), "w");
  const auto clean = run(kLinear, {x, w}, LinearDesc(), {.device = Device::cpu});
  for (int64_t k = 0; k < 35; ++k) x.set(11 * 35 + k, std::numeric_limits<double>::quiet_NaN());
  const auto dirty = run(kLinear, {x, w}, LinearDesc(), {.device = Device::cpu});
  for (int64_t i = 0; i < dirty[0].spec.count(); ++i)
    if (i / 21 == 11)
      ASSERT_TRUE(std::isnan(dirty[0].at(i)));
    else
      ASSERT_EQ(dirty[0].at(i), clean[0].at(i)) << i;
}

// A base elsewhere and base == out give the same bits, also over several chunks of k.
TEST(Linear, BaseInAllForms) {
  for (const int64_t k : {5, 256, 257, 900}) {
    for (Example e :
         {linear_example({37, 53, k}), dx_example({37, k, 53}), dw_example({k, 37, 53})}) {
      RunOptions options{.device = Device::cpu, .bases = true};
      const auto elsewhere = run(*e.op, e.inputs, e.desc, options);
      options.in_place = true;
      const auto in_place = run(*e.op, e.inputs, e.desc, options);
      expect_same_bits(in_place[0], elsewhere[0], fmt::format("{} k {}", e.op->name, k));
    }
  }
}

TEST(Linear, RefusesShapesThatDoNotMatch) {
  const auto refuses = [](const Operator& op, Shape a, Shape b) {
    const std::vector<TensorSpec> specs = {f32(std::move(a)), f32(std::move(b)), {}};
    EXPECT_THROW(op.outputs(specs, LinearDesc()), InternalError) << op.name;
  };
  refuses(kLinear, {2, 3}, {4, 5});
  refuses(kLinear, {2, 3, 1}, {4, 3});
  refuses(kLinearDx, {2, 3}, {4, 3});
  refuses(kLinearDw, {2, 3}, {3, 2});
  const std::vector<TensorSpec> mixed = {f32({2, 3}), {{4, 3}, DType::f64}};
  EXPECT_THROW(kLinear.outputs(mixed, LinearDesc()), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
