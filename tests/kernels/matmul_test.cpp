#include "kernels/cpu/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "kernels/linear.h"
#include "tests/kernels/instruction_sets.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

using cpu::Element;
using cpu::MatmulGrid;
using cpu::MatmulTile;
using cpu::Matrix;
using cpu::Product;

alignas(64) float workspace[cpu::matmul_workspace(DType::bf16) / sizeof(float)];

void multiply(const Product& p) {
  const MatmulGrid grid(p, host_features());
  for (int64_t task = 0; task < grid.tasks(); ++task)
    cpu::routines(host_features()).matmul_tile(p, grid.tile(p, task), workspace);
}

// Factors of every kind, also of two different kinds.
constexpr std::pair<Element, Element> kElements[] = {
    {Element::f32, Element::f32},          {Element::bf16, Element::bf16},
    {Element::f32_as_bf16, Element::bf16}, {Element::bf16, Element::f32_as_bf16},
    {Element::bf16, Element::f32},         {Element::f32_as_bf16, Element::f32_as_bf16}};

// A sum over no terms is the base: no factor is read, and C is still set.
TEST(Matmul, NoTermsGiveTheBase) {
  for (const auto& [of_a, of_b] : kElements) {
    const float base[6] = {1, 2, 3, 4, 5, 6};
    float c[6] = {9, 9, 9, 9, 9, 9};
    Product p{.m = 2, .n = 3, .k = 0, .c = {c, base, 3}};
    p.a.element = of_a, p.b.element = of_b;
    multiply(p);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(c[i], base[i]);
    p.c.base = nullptr;
    multiply(p);
    for (const float value : c) EXPECT_EQ(value, 0);
  }
}

// A matrix of small integers, which bf16 holds exactly, with NaN in the memory around it.
struct Factor {
  std::vector<float> wide;
  std::vector<bf16> narrow;
  Matrix matrix;

  template <class F>
  Factor(int64_t rows, int64_t columns, int64_t stride, bool transposed, Element element, F&& value)
      : wide(size_t(stride * (transposed ? columns : rows)),
             std::numeric_limits<float>::quiet_NaN()) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        wide[size_t(transposed ? j * stride + i : i * stride + j)] = value(i, j);
    for (const float x : wide) narrow.push_back(to_bf16(x));
    matrix.data = element == Element::bf16 ? static_cast<const void*>(narrow.data()) : wide.data();
    matrix.stride = stride, matrix.transposed = transposed, matrix.element = element;
  }
};

// Products of such matrices are exact. Strides are larger than widths, and a tile must read and
// write only inside its matrices.
void check_exact(int64_t m, int64_t n, int64_t k, bool transposed_a, bool transposed_b,
                 std::pair<Element, Element> elements) {
  const Factor a(m, k, std::max(m, k) + 3, transposed_a, elements.first,
                 [](int64_t i, int64_t j) { return float((i + j) % 5 - 2); });
  const Factor b(k, n, std::max(n, k) + 5, transposed_b, elements.second,
                 [](int64_t i, int64_t j) { return float((3 * j + i) % 7 - 3); });
  const int64_t stride = n + 7;
  std::vector<float> c(size_t(m * stride), 7);
  multiply({m, n, k, a.matrix, b.matrix, {c.data(), nullptr, stride}});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < stride; ++j) {
      float want = j < n ? 0 : 7;
      for (int64_t t = 0; j < n && t < k; ++t)
        want += float((i + t) % 5 - 2) * float((3 * j + t) % 7 - 3);
      ASSERT_EQ(c[size_t(i * stride + j)], want)
          << i << "," << j << " of " << m << " x " << n << " x " << k;
    }
}

void check_exact_in_all_forms() {
  for (const auto& elements : kElements)
    for (const bool transposed_a : {false, true})
      for (const bool transposed_b : {false, true}) {
        SCOPED_TRACE(fmt::format("elements {} {}, transposed {} {}", int(elements.first),
                                 int(elements.second), transposed_a, transposed_b));
        check_exact(11, 50, 261, transposed_a, transposed_b, elements);
        check_exact(7, 17, 1, transposed_a, transposed_b, elements);
        check_exact(33, 31, 34, transposed_a, transposed_b, elements);
        check_exact(5, 97, 1027, transposed_a, transposed_b, elements);
      }
}

TEST(Matmul, StridesLeaveTheRestAlone) {
  check_exact_in_all_forms();
  on_other_instruction_sets(check_exact_in_all_forms);
}

// An infinity in one row or column stays there, which means that padding is not multiplied by it.
TEST(Matmul, WhatIsNotFiniteStaysInItsRowAndColumn) {
  constexpr int64_t kM = 13, kN = 37, kK = 33;
  const float inf = std::numeric_limits<float>::infinity();
  for (const auto& elements : kElements)
    for (const bool transposed_a : {false, true})
      for (const bool transposed_b : {false, true}) {
        const Factor a(kM, kK, kM + kK, transposed_a, elements.first,
                       [&](int64_t i, int64_t j) { return i == 4 && j == kK - 1 ? inf : 1; });
        const Factor b(kK, kN, kN + kK, transposed_b, elements.second,
                       [&](int64_t i, int64_t j) { return j == 20 && i == kK - 1 ? inf : 1; });
        std::vector<float> c(size_t(kM * kN), 7);
        multiply({kM, kN, kK, a.matrix, b.matrix, {c.data(), nullptr, kN}});
        for (int64_t i = 0; i < kM; ++i)
          for (int64_t j = 0; j < kN; ++j)
            ASSERT_EQ(c[size_t(i * kN + j)], i == 4 || j == 20 ? inf : kK) << i << "," << j;
      }
}

void expect_covered_once(const Product& p, cpu::MatmulTeam team) {
  const MatmulGrid grid(p, host_features(), team);
  const bool in_place = !p.a.transposed && p.a.element == Element::bf16;
  std::vector<int> covered(size_t(p.m * p.n));
  for (int64_t task = 0; task < grid.tasks(); ++task) {
    const MatmulTile t = grid.tile(p, task);
    ASSERT_LE(t.rows * t.columns, MatmulGrid::kRows * MatmulGrid::kColumns);
    if (cpu::PairTiles::takes(p, host_features()) && !in_place) {
      using Tiles = cpu::PairTiles;
      const int64_t depth = std::min((p.k + 1) / 2 * 2, Tiles::kChunk);
      ASSERT_LE(t.rows * depth, Tiles::kPackedRows * Tiles::kChunk);
    } else if (!cpu::PairTiles::takes(p, host_features())) {
      ASSERT_LE(t.rows, MatmulGrid::kRows);
      ASSERT_LE(t.columns, MatmulGrid::kColumns);
    }
    for (int64_t i = t.row; i < t.row + t.rows; ++i)
      for (int64_t j = t.column; j < t.column + t.columns; ++j) ++covered[size_t(i * p.n + j)];
  }
  for (const int times : covered) ASSERT_EQ(times, 1) << p.m << " x " << p.n << " x " << p.k;
}

// The tiles cover the product once and stay within the size that the workspace is made for.
TEST(Matmul, GridCoversTheProductOnce) {
  for (const int64_t m : {0, 1, 7, 64, 300, 513, 2500})
    for (const int64_t n : {1, 47, 48, 49, 384, 385, 1000})
      for (const int64_t k : {1, 299, 5000})
        for (const bool transposed : {false, true})
          for (const auto& [of_a, of_b] : kElements) {
            Product p{.m = m, .n = n, .k = k};
            p.a.transposed = transposed, p.a.element = of_a, p.b.element = of_b;
            expect_covered_once(p, {1, k == 299 ? 2 : 8});
            if (k == 299) expect_covered_once(p, {16, 2});
          }
}

// The number of 48-wide columns of tiles is not always a multiple of the threads. Unless the last
// column is cut, one thread works on it while the others wait (with 6 and 5 of 11 columns, 9 % of
// the time).
TEST(Matmul, EachThreadGetsAsMuch) {
  for (const int64_t n : {512, 768, 1280})
    for (const int64_t threads : {1, 2, 3, 4, 8}) {
      Product p{.m = 2048, .n = n, .k = 512};
      p.a.element = Element::bf16, p.b.element = Element::f32_as_bf16;
      if (!cpu::PairTiles::takes(p, host_features()))
        GTEST_SKIP() << "other tiles on this processor";
      const MatmulGrid grid(p, host_features(), {1, threads});
      std::vector<int64_t> busy(size_t(threads), 0);  // each task goes to the first free thread
      for (int64_t task = 0; task < grid.tasks(); ++task) {
        const MatmulTile t = grid.tile(p, task);
        *std::min_element(busy.begin(), busy.end()) += t.rows * t.columns;
      }
      const int64_t longest = *std::max_element(busy.begin(), busy.end());
      EXPECT_LE(longest, 1.07 * double(p.m * p.n) / double(threads)) << n << ", " << threads;
    }
}

int64_t threads_of_process() {
  int64_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

// All parallelism is the team's: no library that a body uses starts threads of its own.
TEST(Matmul, StartsNoThreads) {
  const int64_t before = threads_of_process();
  ThreadTeam team(3);
  const int64_t with_team = threads_of_process();
  EXPECT_EQ(with_team, before + 2);
  const TensorSpec x{{257, 301}, DType::f32}, w{{300, 301}, DType::f32};
  run(kLinear, {random_tensor(x, "x"), random_tensor(w, "w")}, LinearDesc(),
      {.device = Device::cpu, .threads = 3});
  EXPECT_EQ(threads_of_process(), with_team);
}

}  // namespace
}  // namespace birkhoff::testing
