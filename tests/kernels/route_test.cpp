#include "kernels/route.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "kernels/balance.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
constexpr Device kBoth[] = {Device::cpu, Device::reference};

// Positions 0, 1, 2, … for as many rows as `logits` has; every `padding`-th one is −1.
Tensor positions(const Tensor& logits, int64_t padding = 0) {
  Tensor t({{logits.spec.shape[0]}, DType::i32});
  for (int64_t i = 0; i < t.spec.count(); ++i)
    t.set(i, padding && i % padding == padding - 1 ? -1.0 : double(i));
  return t;
}

std::vector<Tensor> route(const Tensor& logits, const Tensor& bias, const Route::Desc& desc,
                          Device device = Device::cpu) {
  return run(kRoute, {logits, bias, positions(logits)}, desc, {.device = device});
}

std::vector<Example> route_examples() {
  struct Case {
    int64_t tokens, experts, active;
    bool normalise;
    int64_t groups = 1, active_groups = 1, padding = 0;
  };
  std::vector<Example> all;
  for (const Case& c : {Case{1, 1, 1, true},
                        {3, 7, 2, true},
                        {131, 13, 3, false},
                        {67, 72, 6, true},
                        {5, 4, 4, true},
                        {0, 4, 2, true},
                        {131, 13, 3, true, 1, 1, 5},
                        {4, 6, 2, true, 1, 1, 1},
                        {67, 72, 6, true, 8, 4},
                        {33, 15, 4, false, 5, 2, 3},
                        {19, 6, 3, true, 6, 3},
                        {21, 12, 5, true, 4, 4}}) {
    const int64_t tokens = c.tokens, experts = c.experts, active = c.active;
    const Route::Desc desc{.active = active,
                           .scaling = 2.5,
                           .normalise = c.normalise,
                           .groups = c.groups,
                           .active_groups = c.active_groups};
    const Tensor logits = random_tensor(f32({tokens, experts}), "logits", 2),
                 bias = random_tensor(f32({experts}), "bias", 0.1),
                 position = positions(logits, c.padding);
    all.push_back({.op = &kRoute,
                   .inputs = {logits, bias, position},
                   .desc = desc,
                   .differentiable = tokens > 0,
                   .constant_inputs = {Route::bias}});
    const auto out = run(kRoute, {logits, bias, position}, desc, {.device = Device::cpu});
    all.push_back({.op = &kRouteBackward,
                   .inputs = {random_tensor(f32({tokens, active}), "dweight"), out[Route::weight],
                              out[Route::expert], out[Route::score]},
                   .desc = desc,
                   // Normalised with one active expert, the gradient is a difference of equals.
                   .scale = 2.5});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Route, route_examples)

// Top-k by sorting, weights by the formula as written, in long double. Groups are handled as in
// PyTorch code: experts outside the best groups are masked with −∞.
struct Routed {
  std::vector<double> expert, weight, load;
};
void mask_groups(std::vector<long double>& key, const Route::Desc& desc) {
  const size_t size = key.size() / size_t(desc.groups);
  std::vector<std::pair<long double, size_t>> groups;  // ascending by −key, then index
  for (size_t g = 0; g < size_t(desc.groups); ++g) {
    std::multiset<long double> own(key.begin() + long(g * size),
                                   key.begin() + long((g + 1) * size));
    const long double best = *own.rbegin();
    groups.emplace_back(-(size > 1 ? best + *std::next(own.rbegin()) : best), g);
  }
  std::sort(groups.begin(), groups.end());
  for (size_t n = size_t(desc.active_groups); n < groups.size(); ++n)
    std::fill_n(key.begin() + long(groups[n].second * size), size, -HUGE_VALL);
}
Routed by_hand(const Tensor& logits, const Tensor& bias, const Route::Desc& desc) {
  const int64_t experts = bias.spec.shape[0];
  Routed r;
  r.load.resize(size_t(experts));
  for (int64_t t = 0; t < logits.spec.shape[0]; ++t) {
    std::vector<long double> score, key;
    for (int64_t e = 0; e < experts; ++e) {
      score.push_back(1 / (1 + std::exp(-(long double)(logits.at(t * experts + e)))));
      key.push_back(score.back() + (long double)(bias.at(e)));
    }
    mask_groups(key, desc);
    std::vector<int64_t> order(static_cast<size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return key[size_t(a)] > key[size_t(b)]; });
    long double sum = 0;
    for (int64_t j = 0; j < desc.active; ++j) sum += score[size_t(order[size_t(j)])];
    for (int64_t j = 0; j < desc.active; ++j) {
      const int64_t e = order[size_t(j)];
      r.expert.push_back(double(e));
      r.weight.push_back(double(desc.scaling * score[size_t(e)] / (desc.normalise ? sum : 1)));
      ++r.load[size_t(e)];
    }
  }
  return r;
}

TEST(Route, AgreesWithTheFormulaAsWritten) {
  const Tensor logits = random_tensor(f32({97, 11}), "logits", 3),
               bias = random_tensor(f32({11}), "bias", 0.2);
  for (const Device device : kBoth) {
    for (const bool normalise : {true, false}) {
      const Route::Desc desc{.active = 4, .scaling = 1.5, .normalise = normalise};
      const auto out = route(logits, bias, desc, device);
      const Routed want = by_hand(logits, bias, desc);
      EXPECT_EQ(out[Route::expert].values(), want.expert);
      EXPECT_EQ(out[Route::load].values(), want.load);
      // Sigmoid, sum, quotient: a few roundings.
      expect_close(out[Route::weight], Tensor(out[Route::weight].spec, want.weight),
                   8 * 1.2e-7 * 1.5, "weight");
    }
  }
}

// Biases have either sign, because a mask of 0, as older releases of transformers had, would choose
// experts of groups that are not kept.
TEST(Route, GroupsAgreeWithTheFormulaAsWritten) {
  const Tensor logits = random_tensor(f32({400, 24}), "logits", 3);
  for (const double level : {-2.0, 0.0, 2.0}) {
    const Tensor bias = random_tensor(f32({24}), "bias", 0.2, level);
    for (const auto& [groups, active_groups, active] :
         {std::array{8, 4, 6}, {8, 1, 3}, {4, 2, 12}, {3, 1, 1}, {12, 5, 7}, {24, 6, 6}, {2, 2, 5}})
      for (const Device device : kBoth) {
        const Route::Desc desc{.active = active, .groups = groups, .active_groups = active_groups};
        const auto out = route(logits, bias, desc, device);
        const Routed want = by_hand(logits, bias, desc);
        EXPECT_EQ(out[Route::expert].values(), want.expert) << groups << " " << level;
        EXPECT_EQ(out[Route::load].values(), want.load);
        expect_close(out[Route::weight], Tensor(out[Route::weight].spec, want.weight), 8 * 1.2e-7,
                     "weight");
      }
  }
}

// A group's key is the sum of its two largest keys, not its largest key or the sum of all. Among
// equal groups the first is kept.
TEST(Route, GroupsByTheirTwoBestExperts) {
  const double high = 3, middle = 1, small = 0.05, low = -3;
  const Tensor bias(f32({9}), std::vector<double>(9));
  const Tensor logits(f32({3, 9}), {high,   low,    low,     // the largest key
                                    middle, middle, low,     // the largest sum of two
                                    small,  small,  small,   // the largest sum of three
                                    low,    middle, low,     //
                                    low,    low,    high,    //
                                    low,    high,   low,     // equal to the group before
                                    low,    low,    low,     //
                                    low,    low,    middle,  //
                                    high,   middle, low});
  for (const Device device : kBoth) {
    const auto chosen = [&](int64_t active_groups, int64_t active) {
      const Route::Desc desc{.active = active, .groups = 3, .active_groups = active_groups};
      return route(logits, bias, desc, device)[Route::expert].values();
    };
    EXPECT_EQ(chosen(1, 3), (std::vector<double>{3, 4, 5, 5, 3, 4, 6, 7, 8}));
    EXPECT_EQ(chosen(2, 1), (std::vector<double>{3, 5, 6}));
  }
}

TEST(Route, GroupsSurviveNan) {
  const double nan = std::nan("");
  const Tensor bias(f32({4}), {0, 0, 0, 0});
  const Tensor logits(f32({2, 4}), {nan, 5, 1, 0, nan, nan, nan, nan});
  for (const Device device : kBoth)
    EXPECT_EQ(route(logits, bias, {.active = 2, .groups = 2}, device)[Route::expert].values(),
              (std::vector<double>{2, 3, 0, 1}));
}

// The outputs of a padding row do not depend on its contents, and no other row depends on it.
TEST(Route, PaddingIsNoTokens) {
  const double nan = std::nan("");
  Tensor logits = random_tensor(f32({130, 6}), "logits", 2);
  const Tensor bias = random_tensor(f32({6}), "bias", 0.1), position = positions(logits, 4);
  const Route::Desc desc{.active = 2, .groups = 3, .active_groups = 2};
  for (const Device device : kBoth) {
    const auto all = route(logits, bias, desc, device);
    Tensor spoilt = logits;
    std::vector<double> load(6);
    for (int64_t t = 0; t < 130; ++t) {
      if (position.at(t) < 0)
        for (int64_t e = 0; e < 6; ++e) spoilt.set(t * 6 + e, nan);
      else
        for (int64_t j = 0; j < 2; ++j) ++load[size_t(all[Route::expert].at(t * 2 + j))];
    }
    const auto out = run(kRoute, {spoilt, bias, position}, desc, {.device = device});
    EXPECT_EQ(out[Route::load].values(), load);
    EXPECT_EQ(std::accumulate(load.begin(), load.end(), 0.0), 98 * 2);
    const auto back = run(kRouteBackward,
                          {Tensor(f32({130, 2}), std::vector<double>(260, nan)), out[Route::weight],
                           out[Route::expert], out[Route::score]},
                          desc, {.device = device});
    for (int64_t t = 0; t < 130; ++t)
      for (const int k : {Route::weight, Route::expert, Route::score}) {
        const int64_t width = out[size_t(k)].spec.shape[1];
        for (int64_t i = t * width; i < (t + 1) * width; ++i)
          EXPECT_EQ(out[size_t(k)].at(i), position.at(t) >= 0  ? all[size_t(k)].at(i)
                                          : k == Route::expert ? -1
                                                               : 0);
        for (int64_t e = 0; position.at(t) < 0 && e < 6; ++e) EXPECT_EQ(back[0].at(t * 6 + e), 0);
      }
  }
}

TEST(Route, BiasChangesTheChoiceAndNeverTheWeights) {
  const Tensor logits(f32({1, 4}), {0.5, 1, -2, 0.25});
  const Tensor zero(f32({4}), {0, 0, 0, 0}), uniform(f32({4}), {7, 7, 7, 7}),
      towards2(f32({4}), {0, 0, 9, 0});
  const Route::Desc desc{.active = 2};
  for (const Device device : kBoth) {
    const auto plain = route(logits, zero, desc, device);
    EXPECT_EQ(plain[Route::expert].values(), (std::vector<double>{1, 0}));
    const auto shifted = route(logits, uniform, desc, device);
    expect_same_bits(shifted[Route::weight], plain[Route::weight], "a bias common to all");
    const auto biased = route(logits, towards2, desc, device);
    EXPECT_EQ(biased[Route::expert].values(), (std::vector<double>{2, 1}));
    const double s2 = 1 / (1 + std::exp(2.0)), s1 = 1 / (1 + std::exp(-1.0));
    expect_close(biased[Route::weight], Tensor(f32({1, 2}), {s2 / (s1 + s2), s1 / (s1 + s2)}), 4e-7,
                 "weights");
    expect_same_bits(biased[Route::score], plain[Route::score], "scores");
  }
}

TEST(Route, OfEqualScoresTheLowerIndexComesFirst) {
  const Tensor logits(f32({2, 5}), {1, 2, 2, 1, 2, 0, 0, 0, 0, 0}), bias(f32({5}), {0, 0, 0, 0, 0});
  for (const Device device : kBoth)
    EXPECT_EQ(route(logits, bias, {.active = 4}, device)[Route::expert].values(),
              (std::vector<double>{1, 2, 4, 0, 0, 1, 2, 3}));
}

TEST(Route, AllTokensToOneExpertAndNoneToAnother) {
  Tensor logits = random_tensor(f32({130, 3}), "logits", 0.1);
  for (int64_t t = 0; t < 130; ++t) logits.set(t * 3 + 2, 9), logits.set(t * 3, -9);
  const Tensor bias(f32({3}), {0, 0, 0});
  EXPECT_EQ(route(logits, bias, {.active = 1})[Route::load].values(),
            (std::vector<double>{0, 0, 130}));
  EXPECT_EQ(route(logits, bias, {.active = 2})[Route::load].values(),
            (std::vector<double>{0, 130, 130}));
}

TEST(Route, StaysFiniteWhereScoresUnderflow) {
  const Tensor bias(f32({3}), {0, 0, 0});
  const Route::Desc desc{.active = 3, .scaling = 2};
  for (const double level : {-60.0, -100.0, -110.0, -3000.0, -1e30}) {
    const Tensor logits(f32({1, 3}), {level, level - 1, level - 3});
    const auto out = route(logits, bias, desc);
    // e^l, normalised, is the softmax of the logits as stored in f32.
    std::vector<double> want;
    double sum = 0;
    for (int i = 0; i < 3; ++i) want.push_back(std::exp(logits.at(i) - logits.at(0)));
    for (const double w : want) sum += w;
    for (int j = 0; j < 3; ++j) {
      const int64_t e = int64_t(out[Route::expert].at(j));
      EXPECT_NEAR(out[Route::weight].at(j), 2 * want[size_t(e)] / sum, 1e-6) << level;
    }
    const Tensor dweight = random_tensor(f32({1, 3}), "dweight");
    for (const Device device : kBoth) {
      const auto back =
          run(kRouteBackward, {dweight, out[Route::weight], out[Route::expert], out[Route::score]},
              desc, {.device = device});
      double total = 0;
      for (int64_t e = 0; e < 3; ++e) {
        EXPECT_TRUE(std::isfinite(back[0].at(e))) << level;
        total += back[0].at(e);
      }
      EXPECT_NEAR(total, 0, 1e-6) << "softmax does not see a shift";
    }
  }
  // Around the border between the two forms (−50) the formula still holds.
  const Tensor logits(f32({2, 2}), {-49.9, -51, -50.1, -51.25}), none(f32({2}), {0, 0});
  const Routed want = by_hand(logits, none, {.active = 2});
  expect_close(route(logits, none, {.active = 2})[Route::weight], Tensor(f32({2, 2}), want.weight),
               1e-6, "border");
}

// A NaN must reach the loss as a NaN, and not end as an expert id that the layout rejects.
TEST(Route, NanLogitsGiveNanWeightsAndValidIds) {
  const double nan = std::nan("");
  const Tensor logits(f32({2, 3}), {nan, nan, nan, 1, nan, 2}), bias(f32({3}), {0, 0, 0});
  for (const Device device : kBoth) {
    const auto out = route(logits, bias, {.active = 3}, device);
    EXPECT_EQ(out[Route::expert].values(), (std::vector<double>{0, 1, 2, 2, 0, 1}));
    EXPECT_TRUE(std::isnan(out[Route::weight].at(0)));
    EXPECT_TRUE(std::isnan(out[Route::weight].at(3)));
    EXPECT_TRUE(std::isnan(out[Route::score].at(1)));
  }
}

TEST(Route, Refuses) {
  const auto outputs = [](Shape logits, Shape bias, Route::Desc desc) {
    const std::vector<TensorSpec> specs = {
        f32(std::move(logits)), f32(std::move(bias)), {{2}, DType::i32}};
    return kRoute.outputs(specs, desc);
  };
  EXPECT_NO_THROW(outputs({2, 3}, {3}, {.active = 3}));
  EXPECT_THROW(outputs({4, 3}, {3}, {.active = 1}), InternalError);
  EXPECT_THROW(outputs({2, 3}, {4}, {.active = 1}), InternalError);
  EXPECT_THROW(outputs({2, 3}, {3}, {.active = 4}), InternalError);
  EXPECT_THROW(outputs({2, 3}, {3}, {.active = 0}), InternalError);
  EXPECT_THROW(outputs({2, 3}, {3}, {.active = 1, .scaling = 0}), InternalError);
  const auto grouped = [&](int64_t active, int64_t groups, int64_t active_groups) {
    outputs({2, 6}, {6}, {.active = active, .groups = groups, .active_groups = active_groups});
  };
  EXPECT_NO_THROW(grouped(4, 3, 2));
  EXPECT_THROW(grouped(5, 3, 2), InternalError);
  EXPECT_THROW(grouped(1, 4, 1), InternalError);
  EXPECT_THROW(grouped(1, 0, 1), InternalError);
  EXPECT_THROW(grouped(1, 3, 0), InternalError);
  EXPECT_THROW(grouped(1, 3, 4), InternalError);
}

std::vector<Example> balance_examples() {
  const Tensor load({{5}, DType::i32}, {1, 7, 4, 4, 4}), bias(f32({5}), {0.5, -0.25, 1, 0, 3});
  return {{.op = &kBalanceUpdate,
           .inputs = {load, Tensor(f32({1}), {0.5})},
           .desc = BalanceUpdate::Desc{.speed = 0.125},
           .update_bases = {bias}}};
}

BIRKHOFF_OPERATOR_EXAMPLES(Balance, balance_examples)

TEST(Balance, MovesByTheSignOfTheLack) {
  const auto moved = [](const std::vector<double>& load, Device device, double scale = 1) {
    const int64_t experts = int64_t(load.size());
    const Tensor zero(f32({experts}), std::vector<double>(load.size()));
    return run(kBalanceUpdate, {Tensor({{experts}, DType::i32}, load), Tensor(f32({1}), {scale})},
               BalanceUpdate::Desc{.speed = 0.5}, {.device = device}, 0, {zero})[0]
        .values();
  };
  for (const Device device : kBoth) {
    EXPECT_EQ(moved({1, 7, 4, 4, 4}, device), (std::vector<double>{0.5, -0.5, 0, 0, 0}));
    EXPECT_EQ(moved({1, 7, 4, 4, 4}, device, NAN), (std::vector<double>(5)));
    EXPECT_EQ(moved({0, 0, 1}, device), (std::vector<double>{0.5, 0.5, -0.5}));
    EXPECT_EQ(moved({0, 0}, device), (std::vector<double>{0, 0}));
    // One token off a mean of a billion, which f32 would round; the sum does not fit in 2^31.
    EXPECT_EQ(moved({1e9, 1e9, 1e9 + 1, 1e9 - 1}, device), (std::vector<double>{0, 0, -0.5, 0.5}));
  }
}

}  // namespace
}  // namespace birkhoff::testing
