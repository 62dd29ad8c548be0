#include "kernels/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
Tensor length(int64_t value) { return {{{1}, DType::i32}, {double(value)}}; }

std::vector<Example> decode_examples() {
  std::vector<Example> all;
  struct Case {
    int64_t tokens, before, capacity, heads, width, value;
  };
  for (const auto& [tokens, before, capacity, heads, width, value] : {Case{1, 0, 1, 1, 1, 1},
                                                                      {1, 6, 9, 2, 5, 3},
                                                                      {1, 127, 200, 2, 24, 17},
                                                                      {67, 0, 67, 1, 8, 16},
                                                                      {5, 63, 80, 3, 12, 6}}) {
    const std::string label = fmt::format("{} behind {} of {}", tokens, before, capacity);
    all.push_back(
        {.op = &kAttentionDecode,
         .inputs = {random_tensor(f32({tokens, heads * width}), "q"),
                    random_tensor(f32({capacity, heads * width}), "k"),
                    random_tensor(f32({capacity, heads * value}), "v"), length(before)},
         .desc = AttentionDecode::Desc{.heads = heads, .scale = 0.3},
         .label = label,
         .stored = {AttentionDecode::q, AttentionDecode::k_cache, AttentionDecode::v_cache}});
    all.push_back({.op = &kCacheWrite,
                   .inputs = {random_tensor(f32({tokens, heads * width}), "rows"), length(before)},
                   .desc = CacheWrite::Desc{.capacity = capacity},
                   .label = label,
                   .update_bases = {random_tensor(f32({capacity, heads * width}), "cache")}});
  }
  return all;
}

BIRKHOFF_OPERATOR_EXAMPLES(Decode, decode_examples)

TEST(Decode, WriteTouchesItsRowsAlone) {
  const Tensor cache(f32({4, 2}), {1, 2, 3, 4, 5, 6, 7, 8}), rows(f32({2, 2}), {-1, -2, -3, -4});
  for (const DType storage : {DType::f32, DType::bf16})
    for (const Device device : {Device::cpu, Device::reference}) {
      const auto out =
          run(kCacheWrite, {rows.as(storage), length(1)}, CacheWrite::Desc{.capacity = 4},
              {.device = device}, 0, {cache.as(storage)})[0];
      EXPECT_EQ(out.spec.dtype, storage);
      EXPECT_EQ(out.values(), (std::vector<double>{1, 2, -1, -2, -3, -4, 7, 8}));
    }
}

// Steps of uneven size through a cache give the same as one causal attention over all tokens; in
// bf16 it is rounded once.
void expect_steps_agree(DType storage) {
  const int64_t tokens = 150, heads = 2, width = 10, value = 6, capacity = 170;
  const Tensor q = random_tensor({{tokens, heads * width}, storage}, "q");
  const Tensor k = random_tensor({{tokens, heads * width}, storage}, "k");
  const Tensor v = random_tensor({{tokens, heads * value}, storage}, "v");
  const double half_ulp = storage == DType::bf16 ? 1.0 / 256 : 0;
  const Tensor first({{tokens}, DType::i32}, std::vector<double>(tokens, 0));
  const auto whole = run(kAttention, in_double({q, k, v, first}),
                         Attention::Desc{.heads = heads, .sequence = tokens, .scale = 0.5})[0];
  // Cache rows after the tokens so far are NaN, since no step may read them.
  Tensor k_cache({{capacity, heads * width}, storage});
  Tensor v_cache({{capacity, heads * value}, storage});
  int64_t at = 0;
  for (const int64_t step : {65, 1, 1, 7, 1, 75}) {
    const auto rows = [&](const Tensor& x) {
      const int64_t row = x.spec.shape[1];
      Tensor part({{step, row}, storage});
      for (int64_t i = 0; i < step * row; ++i) part.set(i, x.at(at * row + i));
      return part;
    };
    const auto write = [&](const Tensor& x, const Tensor& cache) {
      return run(kCacheWrite, {rows(x), length(at)}, CacheWrite::Desc{.capacity = capacity},
                 {.device = Device::cpu}, 0, {cache})[0];
    };
    k_cache = write(k, k_cache), v_cache = write(v, v_cache);
    const auto o = run(kAttentionDecode, {rows(q), k_cache, v_cache, length(at)},
                       AttentionDecode::Desc{.heads = heads, .scale = 0.5},
                       {.device = Device::cpu, .threads = 2})[0];
    for (int64_t i = 0; i < o.spec.count(); ++i) {
      const double want = whole.at(at * heads * value + i);
      ASSERT_NEAR(o.at(i), want, half_ulp * std::abs(want) + 64 * 1.2e-7) << at << " " << i;
    }
    at += step;
  }
  EXPECT_EQ(at, tokens);
}

TEST(Decode, StepsAgreeWithAttentionOverTheWhole) {
  for (const DType storage : {DType::f32, DType::bf16}) expect_steps_agree(storage);
}

TEST(Decode, RefusesWhatDoesNotFit) {
  const Tensor rows = random_tensor(f32({2, 3}), "rows"), cache = random_tensor(f32({4, 3}), "c");
  for (const int64_t before : {-1, 3}) {
    EXPECT_THROW(run(kCacheWrite, {rows, length(before)}, CacheWrite::Desc{.capacity = 4},
                     {.device = Device::cpu}, 0, {cache}),
                 InternalError);
    EXPECT_THROW(run(kAttentionDecode, {rows, cache, cache, length(before)},
                     AttentionDecode::Desc{}, {.device = Device::cpu}),
                 InternalError);
  }
  EXPECT_THROW(run(kCacheWrite, {rows, length(0)}, CacheWrite::Desc{.capacity = 1}, {}, 0, {cache}),
               InternalError);
}

}  // namespace
}  // namespace birkhoff::testing
