#include "kernels/grouped_linear.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/linear.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
TensorSpec i32(Shape shape) { return {std::move(shape), DType::i32}; }
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Case {
  std::vector<double> offsets;
  int64_t rows, n, k;
  Tensor offsets_tensor() const { return {i32({int64_t(offsets.size())}), offsets}; }
  int64_t experts() const { return int64_t(offsets.size()) - 1; }
};

std::vector<Example> examples_of(const Case& c) {
  const Tensor offsets = c.offsets_tensor();
  const Tensor x = random_tensor(f32({c.rows, c.k}), "x");
  const Tensor dy = random_tensor(f32({c.rows, c.n}), "dy");
  const Tensor w = random_tensor(f32({c.experts(), c.n, c.k}), "w");
  const std::string label = fmt::format("{} experts {}x{}x{}", c.experts(), c.rows, c.n, c.k);
  return {{.op = &kGroupedLinear,
           .inputs = {x, offsets, w},
           .label = label,
           .stored = {GroupedLinear::x},
           .read_as_stored = {GroupedLinear::w}},
          {.op = &kGroupedLinearDx,
           .inputs = {dy, offsets, w},
           .label = label,
           .stored = {GroupedLinearDx::dy},
           .read_as_stored = {GroupedLinearDx::w}},
          {.op = &kGroupedLinearDw,
           .inputs = {dy, x, offsets},
           .label = label,
           .stored = {GroupedLinearDw::dy, GroupedLinearDw::x}}};
}

std::vector<Example> grouped_linear_examples() {
  std::vector<Example> all;
  for (const Case& c : {Case{{0, 1}, 1, 1, 1}, Case{{0, 3, 4, 11}, 11, 7, 5},
                        Case{{0, 0, 13, 13, 17, 17}, 17, 19, 33},  // empty experts, also the ends
                        Case{{0, 0, 0, 9, 9}, 9, 3, 49}})          // all rows to one
    for (Example& e : examples_of(c)) all.push_back(std::move(e));
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(GroupedLinear, grouped_linear_examples)

TEST(GroupedLinear, LargerSizesMatchReference) {
  for (Example& e : examples_of({{0, 70, 70, 331, 340}, 340, 51, 17})) {
    e.differentiable = false;
    check_operator(e);
  }
  for (Example& e : examples_of({{0, 7, 20}, 20, 77, 261})) {
    e.differentiable = false;
    check_operator(e);
  }
}

// A plain linear layer on a copy of one expert's rows gives the same bits: neither the position in
// the buffer nor the other experts matter.
TEST(GroupedLinear, EachExpertEqualsALinearLayerOfItsOwn) {
  const Case c{{0, 5, 5, 134, 135, 290}, 290, 53, 301};
  const auto examples = examples_of(c);
  const RunOptions cpu{.device = Device::cpu, .threads = 2};
  const auto cut = [](const Tensor& t, int64_t row, int64_t rows, int64_t width) {
    Tensor part(f32({rows, width}));
    for (int64_t i = 0; i < rows * width; ++i) part.set(i, t.at(row * width + i));
    return part;
  };
  const Tensor &x = examples[0].inputs[0], &w = examples[0].inputs[2], &dy = examples[1].inputs[0];
  const auto y = run(kGroupedLinear, examples[0].inputs, {}, cpu)[0];
  const auto dx = run(kGroupedLinearDx, examples[1].inputs, {}, cpu)[0];
  const auto dw = run(kGroupedLinearDw, examples[2].inputs, {}, cpu)[0];
  for (int64_t e = 0; e < c.experts(); ++e) {
    const int64_t first = int64_t(c.offsets[size_t(e)]);
    const int64_t rows = int64_t(c.offsets[size_t(e) + 1]) - first;
    if (rows == 0) continue;
    const Tensor xe = cut(x, first, rows, c.k), dye = cut(dy, first, rows, c.n);
    const Tensor we = cut(w, e * c.n, c.n, c.k);
    expect_same_bits(cut(y, first, rows, c.n), run(kLinear, {xe, we}, LinearDesc(), cpu)[0], "y");
    expect_same_bits(cut(dx, first, rows, c.k), run(kLinearDx, {dye, we, {}}, LinearDesc(), cpu)[0],
                     "dx");
    expect_same_bits(cut(dw, e * c.n, c.n, c.k), run(kLinearDw, {dye, xe}, {}, cpu)[0], "dw");
  }
}

// Rows from offsets[E] on hold NaN, which must not reach any result, and must stay unchanged.
TEST(GroupedLinear, RowsBeyondTheLastAreNeitherReadNorWritten) {
  for (const Device device : {Device::cpu, Device::reference})
    for (const bool in_place : {false, true}) {
      const Case c{{0, 4, 4, 9}, 30, 11, 21};
      for (Example& e : examples_of(c)) {
        const bool sums = e.op == &kGroupedLinearDw;
        for (Tensor& t : e.inputs)
          if (t.spec.shape[0] == c.rows)
            for (int64_t i = 9 * t.spec.shape[1]; i < t.spec.count(); ++i) t.set(i, kNaN);
        const auto out =
            run(*e.op, e.inputs, {}, {.device = device, .threads = 2, .in_place = in_place})[0];
        const int64_t width = out.spec.shape[1], used = sums ? out.spec.count() : 9 * width;
        for (int64_t i = 0; i < used; ++i) ASSERT_TRUE(std::isfinite(out.at(i))) << e.op->name;
        const Tensor before = in_place ? random_tensor(out.spec, "base0") : Tensor(out.spec);
        for (size_t b = size_t(used) * 4; b < out.bytes.size(); ++b)
          ASSERT_EQ(out.bytes[b], before.bytes[b]) << e.op->name << " wrote beyond the last row";
      }
    }
}

TEST(GroupedLinear, ExpertsWithoutRowsKeepTheirBase) {
  const auto e = examples_of({{0, 0, 2, 2}, 5, 3, 4})[2];
  for (const bool bases : {false, true}) {
    const auto dw = run(*e.op, e.inputs, {}, {.device = Device::cpu, .bases = bases})[0];
    const Tensor base = random_tensor(dw.spec, "base0");
    for (const int64_t expert : {0, 2})
      for (int64_t i = expert * 12; i < (expert + 1) * 12; ++i)
        EXPECT_EQ(dw.at(i), bases ? base.at(i) : 0);
  }
}

TEST(GroupedLinear, NoRowsAtAll) {
  for (const Example& e : examples_of({{0, 0, 0}, 3, 4, 5})) {
    const auto out = run(*e.op, e.inputs, {}, {.device = Device::cpu, .threads = 2})[0];
    for (int64_t i = 0; i < out.spec.count(); ++i)
      if (e.op == &kGroupedLinearDw)
        EXPECT_EQ(out.at(i), 0);
      else
        EXPECT_TRUE(std::isnan(out.at(i))) << "written";
  }
}

TEST(GroupedLinear, RefusesWrongShapesAndOffsets) {
  const std::vector<TensorSpec> specs = {f32({9, 5}), i32({3}), f32({3, 7, 5})};
  EXPECT_THROW(kGroupedLinear.outputs(specs, {}), InternalError);
  for (const auto& offsets : {std::vector<double>{0, 5, 3}, {1, 2, 3}, {0, 2, 10}, {0, -1, 9}})
    for (const Example& e : examples_of({offsets, 9, 7, 5}))
      EXPECT_THROW(run(*e.op, e.inputs, {}, {.device = Device::cpu}), InternalError) << e.op->name;
}

}  // namespace
}  // namespace birkhoff::testing
