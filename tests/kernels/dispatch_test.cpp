#include "kernels/dispatch.h"

#include <gtest/gtest.h>

#include "kernels/route_layout.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
TensorSpec i32(Shape shape) { return {std::move(shape), DType::i32}; }
constexpr Device kBoth[] = {Device::cpu, Device::reference};

// k different experts per token; with `skew` all tokens have the same k. With `padding`, every
// padding-th row has no experts.
Tensor choices(int64_t tokens, int64_t k, int64_t experts, bool skew = false, int64_t padding = 0) {
  Tensor t(i32({tokens, k}));
  const Random random(5, "choices");
  for (int64_t i = 0; i < tokens; ++i) {
    const auto first = skew ? 0 : random.below(uint64_t(i), uint64_t(experts));
    const bool none = padding && i % padding == padding - 1;
    for (int64_t j = 0; j < k; ++j)
      t.set(i * k + j, none ? -1.0 : double((int64_t(first) + 3 * j) % experts));
  }
  return t;
}

RouteLayout::Desc layout_desc(int64_t experts, int64_t capacity) { return {experts, capacity}; }

std::vector<Tensor> layout(const Tensor& expert, const RouteLayout::Desc& desc, int round,
                           Device device = Device::cpu) {
  return run(kRouteLayout, {expert}, desc, {.device = device}, round);
}

std::vector<Example> layout_examples() {
  std::vector<Example> all;
  for (const int64_t capacity : {3, 10, 37, 60, 100})
    for (const int round : {0, 1, 3, 99})
      for (const int64_t padding : {0, 1, 4})
        all.push_back({.op = &kRouteLayout,
                       .inputs = {choices(20, 3, 7, false, padding)},
                       .desc = layout_desc(7, capacity),
                       .round = round});
  all.push_back({.op = &kRouteLayout, .inputs = {choices(0, 2, 4)}, .desc = layout_desc(4, 6)});
  all.push_back({.op = &kRouteLayout, .inputs = {choices(9, 1, 1)}, .desc = layout_desc(1, 9)});
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(RouteLayout, layout_examples)

// Checks the properties that define a layout, one by one. Only one layout has all of them and the
// right order.
void check_layout(const Tensor& expert, int64_t experts, int64_t capacity, Device device) {
  const int64_t tokens = expert.spec.shape[0], k = expert.spec.shape[1], part = capacity / k;
  std::vector<int> seen(static_cast<size_t>(tokens * k));
  int64_t rounds = 1;
  for (int round = 0; round < rounds; ++round) {
    const auto out = layout(expert, layout_desc(experts, capacity), round, device);
    const Tensor &offsets = out[RouteLayout::offsets], &source = out[RouteLayout::source],
                 &row = out[RouteLayout::row];
    rounds = int64_t(out[RouteLayout::rounds].at(0));
    ASSERT_EQ(offsets.at(0), 0);
    const int64_t used = int64_t(offsets.at(experts));
    for (int64_t e = 0; e < experts; ++e) {
      ASSERT_LE(offsets.at(e), offsets.at(e + 1));
      for (int64_t i = int64_t(offsets.at(e)); i < int64_t(offsets.at(e + 1)); ++i) {
        const int64_t flat = int64_t(source.at(i));
        ASSERT_EQ(expert.at(flat), e) << "row " << i;
        ASSERT_EQ(row.at(flat), i);
        ASSERT_EQ(flat / k / part, round) << "token in another round";
        ++seen[size_t(flat)];
        ASSERT_TRUE(i == int64_t(offsets.at(e)) || source.at(i - 1) < flat) << "order in an expert";
      }
    }
    for (int64_t i = used; i < capacity; ++i) ASSERT_EQ(source.at(i), -1);
    int64_t placed = 0;
    for (int64_t i = 0; i < tokens * k; ++i) placed += row.at(i) >= 0;
    ASSERT_EQ(placed, used);
  }
  for (size_t i = 0; i < seen.size(); ++i)
    ASSERT_EQ(seen[i], expert.at(int64_t(i)) < 0 ? 0 : 1)
        << "each pair in one round, padding in none";
  ASSERT_EQ(rounds, std::max<int64_t>(1, (tokens + part - 1) / part));
}

TEST(RouteLayout, PlacesEveryPairOnceInOrder) {
  for (const Device device : kBoth)
    for (const int64_t capacity : {3, 4, 17, 33, 300, 1000})
      for (const bool skew : {false, true})
        for (const int64_t padding : {0, 7, 2, 1})
          check_layout(choices(100, 3, 8, skew, padding), 8, capacity, device);
}

TEST(RouteLayout, RefusesWhatItCannotPlace) {
  for (const Device device : kBoth) {
    const auto place = [&](double first, double second) {
      layout(Tensor(i32({3, 2}), {0, 1, 2, 3, first, second}), layout_desc(4, 6), 0, device);
    };
    EXPECT_NO_THROW(place(0, 3));
    EXPECT_NO_THROW(place(-1, -1));
    for (const double bad : {-2.0, -1.0, 4.0}) {
      EXPECT_THROW(place(0, bad), InternalError) << bad;
      EXPECT_THROW(place(bad, 0), InternalError) << bad;
    }
    EXPECT_THROW(place(-2, -2), InternalError);
  }
  const std::vector<TensorSpec> specs = {i32({3, 2})};
  EXPECT_THROW(kRouteLayout.outputs(specs, layout_desc(4, 1)), InternalError);
  EXPECT_THROW(kRouteLayout.outputs(specs, layout_desc(0, 6)), InternalError);
}

// Full buffers only, because the harness compares whole outputs and unused rows are undefined.
std::vector<Example> dispatch_examples() {
  std::vector<Example> all;
  struct Case {
    int64_t tokens, k, experts, width, rounds;
  };
  for (const auto& [tokens, k, experts, width, rounds] :
       {Case{1, 1, 1, 1, 1}, {7, 2, 5, 3, 1}, {70, 2, 7, 33, 2}, {6, 3, 4, 64, 3}}) {
    const int64_t capacity = tokens * k / rounds;
    const int round = int(rounds) - 1;
    const auto out = layout(choices(tokens, k, experts), layout_desc(experts, capacity), round);
    const Tensor &source = out[RouteLayout::source], &row = out[RouteLayout::row],
                 &offsets = out[RouteLayout::offsets];
    const Tensor x = random_tensor(f32({tokens, width}), "x"),
                 buffer = random_tensor(f32({capacity, width}), "buffer"),
                 weight = random_tensor(f32({tokens, k}), "weight");
    all.push_back({.op = &kDispatch,
                   .inputs = {x, source, row, offsets},
                   .round = round,
                   .stored = {Dispatch::x}});
    all.push_back({.op = &kDispatchBackward,
                   .inputs = {buffer, row},
                   .round = round,
                   .stored = {DispatchBackward::dbuffer}});
    all.push_back({.op = &kCombine,
                   .inputs = {buffer, weight, row, source, offsets},
                   .round = round,
                   .stored = {Combine::buffer}});
    all.push_back({.op = &kCombineBackward,
                   .inputs = {x, buffer, weight, row, source, offsets},
                   .scale = 4,  // dweight at width 1 … 64: terms of size 1 that cancel
                   .round = round,
                   .stored = {CombineBackward::dy, CombineBackward::buffer}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Dispatch, dispatch_examples)

// Runs one operator with full control over its bases and over bytes that must not be touched.
void run_in_place(const Operator& op, const std::vector<const Tensor*>& inputs,
                  const std::vector<Tensor*>& outputs, const std::vector<bool>& base, int round,
                  Device device) {
  std::vector<Operand> operands;
  std::vector<TensorSpec> specs;
  for (const Tensor* t : inputs)
    operands.push_back({&t->spec, t->bytes.data()}), specs.push_back(t->spec);
  std::vector<Result> results;
  for (size_t k = 0; k < outputs.size(); ++k) {
    Tensor& t = *outputs[k];
    results.push_back({&t.spec, t.bytes.data(), base[k] ? t.bytes.data() : nullptr});
  }
  const Outputs declared = op.outputs(specs, {});
  for (size_t k = 0; k < outputs.size(); ++k) ASSERT_EQ(declared[k].spec, outputs[k]->spec);
  ThreadTeam team(2);
  Context context{.team = &team, .round = round};
  const Desc desc;
  op.implementations[size_t(device)].front().run({operands, results, &desc, &context});
}

struct Sent {
  Tensor x, weight, dy, expert;
  int64_t experts;
};

struct Passed {
  Tensor y, dx, dweight;
};

// x → dispatch → expert e scales its rows by e + 1 → combine, and back, in as many rounds as the
// capacity requires, accumulated in place. Buffers start as NaN in every round, so that reading an
// unused row would show.
Passed pass_through(const Sent& sent, int64_t capacity, Device device) {
  const auto& [x, weight, dy, expert, experts] = sent;
  const int64_t width = x.spec.shape[1];
  Passed p{Tensor(x.spec), Tensor(x.spec), Tensor(weight.spec)};
  int rounds = 1;
  for (int round = 0; round < rounds; ++round) {
    const auto lay = layout(expert, layout_desc(experts, capacity), round, device);
    rounds = int(lay[RouteLayout::rounds].at(0));
    const Tensor &source = lay[RouteLayout::source], &row = lay[RouteLayout::row],
                 &offsets = lay[RouteLayout::offsets];
    Tensor buffer(f32({capacity, width})), dbuffer(f32({capacity, width}));
    const auto experts_scale = [&](Tensor& t) {
      for (int64_t e = 0; e < experts; ++e)
        for (int64_t i = int64_t(offsets.at(e)) * width; i < int64_t(offsets.at(e + 1)) * width;
             ++i)
          t.set(i, t.at(i) * double(e + 1));
    };
    run_in_place(kDispatch, {&x, &source, &row, &offsets}, {&buffer}, {false}, round, device);
    experts_scale(buffer);
    run_in_place(kCombine, {&buffer, &weight, &row, &source, &offsets}, {&p.y}, {round > 0}, round,
                 device);
    run_in_place(kCombineBackward, {&dy, &buffer, &weight, &row, &source, &offsets},
                 {&dbuffer, &p.dweight}, {false, round > 0}, round, device);
    experts_scale(dbuffer);
    run_in_place(kDispatchBackward, {&dbuffer, &row}, {&p.dx}, {round > 0}, round, device);
    for (const Tensor* t : {&buffer, &dbuffer})
      for (int64_t i = int64_t(offsets.at(experts)) * width; i < capacity * width; ++i)
        EXPECT_TRUE(std::isnan(t->at(i))) << "a row that is not in use was written";
  }
  return p;
}

TEST(Dispatch, RoundsChangeNoBit) {
  const int64_t tokens = 50, k = 3, experts = 8, width = 21;
  Tensor x = random_tensor(f32({tokens, width}), "x"), dy = random_tensor(x.spec, "dy"),
         weight = random_tensor(f32({tokens, k}), "weight");
  // The data has zero sums of both signs, and products that underflow: a sum of −0 must not keep
  // its sign in one round and lose it in two.
  for (int64_t c = 0; c < width; ++c)
    x.set(44 * width + c, -0.0), x.set(47 * width + c, -1e-40), dy.set(44 * width + c, -0.0),
        dy.set(46 * width + c, c % 2 ? -1e-45 : 1e-40);
  for (int64_t j = 0; j < k; ++j) weight.set(44 * k + j, 1), weight.set(47 * k + j, 1e-20);
  for (const bool skew : {false, true}) {
    const Tensor expert = choices(tokens, k, experts, skew);
    for (const Device device : kBoth) {
      const auto one = pass_through({x, weight, dy, expert, experts}, 160, device);
      for (const int64_t capacity : {75, 30, 3}) {  // 2, 5 and 50 rounds
        const auto more = pass_through({x, weight, dy, expert, experts}, capacity, device);
        for (const auto part : {&Passed::y, &Passed::dx, &Passed::dweight}) {
          const std::string what = fmt::format("capacity {} device {}", capacity, int(device));
          expect_close(more.*part, one.*part, 0, what);
          // The reference need not have the right sign of zero.
          if (device == Device::cpu) expect_same_bits(more.*part, one.*part, what);
        }
      }
      // Every expert is linear: y_t = Σ_j w_j (e_j + 1) x_t, and likewise for dx.
      for (int64_t t = 0; t < tokens; ++t) {
        double factor = 0, size = 0;
        for (int64_t j = t * k; j < (t + 1) * k; ++j)
          factor += weight.at(j) * (expert.at(j) + 1),
              size += std::abs(weight.at(j)) * (expert.at(j) + 1);
        for (int64_t i = t * width; i < (t + 1) * width; ++i) {
          EXPECT_NEAR(one.y.at(i), factor * x.at(i), 8 * 1.2e-7 * size * std::abs(x.at(i)) + 1e-44);
          EXPECT_NEAR(one.dx.at(i), factor * dy.at(i),
                      8 * 1.2e-7 * size * std::abs(dy.at(i)) + 1e-44);
        }
      }
    }
  }
}

TEST(Dispatch, TokensOfOtherRoundsKeepTheirBase) {
  const Tensor expert = choices(4, 2, 3);
  const auto lay = layout(expert, layout_desc(3, 4), 1);
  const Tensor buffer = random_tensor(f32({4, 5}), "buffer"),
               weight(f32({4, 2}), {1, 1, 1, 1, 1, 1, 1, 1});
  for (const Device device : kBoth) {
    Tensor y(f32({4, 5}), std::vector<double>(20, -0.0));
    run_in_place(kCombine,
                 {&buffer, &weight, &lay[RouteLayout::row], &lay[RouteLayout::source],
                  &lay[RouteLayout::offsets]},
                 {&y}, {false}, 1, device);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(y.at(i), 0) << "no base: 0";
    for (int i = 10; i < 20; ++i) EXPECT_NE(y.at(i), 0);
  }
}

// A padding row takes no buffer row: its outputs are their bases, or 0, and the tokens have the
// same bits as without it. Its contents are NaN here, since they must not be read.
TEST(Dispatch, PaddingHasNoRows) {
  const int64_t tokens = 40, k = 3, experts = 5, width = 11, padding = 4;
  const Tensor expert = choices(tokens, k, experts, false, padding);
  Sent with{random_tensor(f32({tokens, width}), "x"), random_tensor(f32({tokens, k}), "weight"),
            random_tensor(f32({tokens, width}), "dy"), expert, experts};
  const auto is_padding = [&](int64_t row) { return row % padding == padding - 1; };
  const auto without = [&](const Tensor& t) {
    std::vector<double> values;
    const int64_t columns = t.spec.shape[1];
    for (int64_t i = 0; i < t.spec.count(); ++i)
      if (!is_padding(i / columns)) values.push_back(t.at(i));
    return Tensor({{tokens - tokens / padding, columns}, t.spec.dtype}, values);
  };
  const Sent alone{without(with.x), without(with.weight), without(with.dy), without(expert),
                   experts};
  for (Tensor* t : {&with.x, &with.weight, &with.dy})
    for (int64_t i = 0; i < t->spec.count(); ++i)
      if (is_padding(i / t->spec.shape[1])) t->set(i, std::nan(""));
  for (const Device device : kBoth)
    for (const int64_t capacity : {120, 33, 3}) {
      const Passed all = pass_through(with, capacity, device),
                   want = pass_through(alone, 3 * tokens, device);
      for (const auto part : {&Passed::y, &Passed::dx, &Passed::dweight}) {
        expect_close(without(all.*part), want.*part, 0, fmt::format("capacity {}", capacity));
        const int64_t columns = (all.*part).spec.shape[1];
        for (int64_t i = 0; i < (all.*part).spec.count(); ++i)
          ASSERT_TRUE(!is_padding(i / columns) || (all.*part).at(i) == 0) << i;
      }
    }
  // With a base, padding rows keep it.
  const auto lay = layout(expert, layout_desc(experts, 3 * tokens), 0);
  const Tensor buffer = random_tensor(f32({3 * tokens, width}), "buffer");
  for (const Device device : kBoth) {
    const Tensor base = random_tensor(f32({tokens, width}), "base");
    Tensor y = base, dx = base;
    run_in_place(kCombine,
                 {&buffer, &with.weight, &lay[RouteLayout::row], &lay[RouteLayout::source],
                  &lay[RouteLayout::offsets]},
                 {&y}, {true}, 0, device);
    run_in_place(kDispatchBackward, {&buffer, &lay[RouteLayout::row]}, {&dx}, {true}, 0, device);
    for (int64_t i = 0; i < base.spec.count(); ++i)
      ASSERT_TRUE(!is_padding(i / width) || (y.at(i) == base.at(i) && dx.at(i) == base.at(i))) << i;
  }
}

TEST(Dispatch, Refuses) {
  std::vector<TensorSpec> specs = {f32({4, 3}), i32({8}), i32({5, 2}), i32({3})};
  EXPECT_THROW(kDispatch.outputs(specs, {}), InternalError);
  specs = {f32({8, 3}), f32({4, 2}), i32({4, 2}), i32({7}), i32({3})};
  EXPECT_THROW(kCombine.outputs(specs, {}), InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
