// Kernels that are bitwise identical to the CPU's, since both do the same FMAs in the same order or
// sum integers: ends of the streams, AdamW, squared sums, casts. Also the streams' statistics.
#include "kernels/adamw.h"
#include "kernels/cuda/adamw.h"
#include "kernels/cuda/cast.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/stream_ends.h"
#include "kernels/cuda/stream_statistics.h"
#include "kernels/norm.h"
#include "kernels/stream_statistics.h"
#include "kernels/streams.h"
#include "tests/cuda/cpu_agreement/agreement.h"

namespace birkhoff::testing {
namespace {

struct Size {
  int64_t tokens, width;
  int n = 4;
};
const Size kSizes[] = {{1, 8, 1}, {5, 264, 2}, {37, 40}, {18, 72, 8},
                       {3, 1280}, {2, 1920},   {3, 2560}};

// Random bits, including denormals, Inf and NaN.
Tensor any_bits(int64_t count) {
  const Random random(11, "bits");
  Tensor t(f32s({count}));
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = uint32_t(random.below(uint64_t(i), uint64_t{1} << 32));
    std::memcpy(t.bytes.data() + 4 * i, &bits, 4);
  }
  return t;
}

struct End {
  void (*kernel)(const cuda::StreamEndsArgs&, cudaStream_t);
  const Operator& op;
  bool widens;
};
const End kEnds[] = {{cuda::copy_streams, kCopyStreams, true},
                     {cuda::spread_streams, kSpreadStreams, true},
                     {cuda::sum_streams, kSumStreams, false},
                     {cuda::mean_streams, kMeanStreams, false}};

// Both sum streams in order, and the factor 1/n is a power of two.
TEST(CpuAgreement, StreamEndsHaveTheSameBits) {
  for (const End& end : kEnds)
    for (const Size& s : kSizes)
      once(s.width, [&] {
        const Tensor in =
            random_tensor(bf16s({s.tokens, end.widens ? s.width : s.n * s.width}), "x");
        const OnDevice<bf16> x(in), y(bf16s({s.tokens, end.widens ? s.n * s.width : s.width}));
        end.kernel({.x = x.data(), .y = y.data(), .tokens = s.tokens, .width = s.width, .n = s.n},
                   nullptr);
        expect_same(y.tensor(), on_cpu(end.op, {in}, StreamsDesc{.n = s.n})[0], end.op.name.data());
      });
}

TEST(CpuAgreement, AdamWHasTheSameBits) {
  const AdamW::Desc desc{.eps = 1e-8, .weight_decay = 0.1};
  for (const int64_t count : {1, 3, 4, 1027, 20000})
    in_one_schedule([&] {
      Tensor second = random_tensor(f32s({count}), "v");
      for (int64_t i = 0; i < count; ++i) second.set(i, second.at(i) * second.at(i));
      Tensor gradient = random_tensor(f32s({count}), "g");
      if (count > 4) gradient.set(3, 1e-24);  // its square is denormal
      const Tensor first = random_tensor(f32s({count}), "p"),
                   moment = random_tensor(f32s({count}), "m"),
                   rates(f32s({4}),
                         {1e-2, 1 / (1 - std::pow(0.9, 7)), 1 / (1 - std::pow(0.95, 7)), 0}),
                   factor(f32s({1}), {0.5});
      const OnDevice<float> g(gradient), p(first), m(moment), v(second), hyper(rates),
          scale(factor);
      cuda::adamw({.g = g.data(),
                   .hyper = hyper.data(),
                   .scale = scale.data(),
                   .p = p.data(),
                   .m = m.data(),
                   .v = v.data(),
                   .count = count,
                   .eps = desc.eps,
                   .weight_decay = desc.weight_decay},
                  nullptr);
      const Tensors cpu = run(kAdamW, {gradient, rates, factor}, desc, {.device = Device::cpu}, 0,
                              {first, moment, second});
      expect_same(p.tensor(), cpu[AdamW::p], "p");
      expect_same(m.tensor(), cpu[AdamW::m], "m");
      expect_same(v.tensor(), cpu[AdamW::v], "v");
    });
}

// The sums are of integers: nothing is rounded before the final root and quotient.
TEST(CpuAgreement, SquaredSumAndClipScaleHaveTheSameBits) {
  for (const int64_t count : {1, 1533, 70000})
    in_one_schedule([&] {
      Tensor values = random_tensor(f32s({count}), "g");
      for (int64_t i = 0; i < count; ++i)
        values.set(i, std::ldexp(values.at(i), int(i * 37 % 240) - 140));
      const OnDevice<float> g(values), scale(f32s({1}));
      const OnDevice<double> norm(TensorSpec{{1}, DType::f64});
      const OnDevice<int64_t> acc(TensorSpec{{kNormLimbs}, DType::i64});
      const DeviceArray<int64_t> workspace(size_t(cuda::squared_sum_blocks(count) * kNormLimbs));
      cuda::squared_sum(
          {.g = g.data(), .count = count, .acc = acc.data(), .workspace = workspace.data()},
          nullptr);
      cuda::clip_scale({.acc = acc.data(), .scale = scale.data(), .norm = norm.data()}, nullptr);
      const Tensor sum = on_cpu(kSquaredSum, {values}, {})[0];
      const Tensors cpu = on_cpu(kClipScale, {sum}, ClipScale::Desc{});
      EXPECT_TRUE(acc.tensor().bytes == sum.bytes);
      EXPECT_TRUE(scale.tensor().bytes == cpu[ClipScale::scale].bytes);
      EXPECT_TRUE(norm.tensor().bytes == cpu[ClipScale::norm].bytes);
    });
}

// Compared with the CPU's conversion (base/bf16.h), including a NaN's payload.
TEST(CpuAgreement, CastsHaveTheSameBits) {
  in_one_schedule([] {
    const int64_t count = 20003;
    const Tensor values = any_bits(count);
    const OnDevice<float> x(values), wide(f32s({count}));
    const OnDevice<bf16> y(bf16s({count}));
    cuda::round_to_bf16(x.data(), y.data(), count, nullptr);
    cuda::widen_to_f32(y.data(), wide.data(), count, nullptr);
    Tensor rounded(bf16s({count})), widened(f32s({count}));
    for (int64_t i = 0; i < count; ++i) {
      float value;
      std::memcpy(&value, values.bytes.data() + 4 * i, 4);
      const bf16 half = to_bf16(value);
      const float back = to_float(half);
      std::memcpy(rounded.bytes.data() + 2 * i, &half, 2);
      std::memcpy(widened.bytes.data() + 4 * i, &back, 4);
    }
    EXPECT_TRUE(y.tensor().bytes == rounded.bytes);
    EXPECT_TRUE(wide.tensor().bytes == widened.bytes);
  });
}

// Sums of res are f64 on both sides, with a rounding of 2^-53 per token each. A cosine has three
// f32 dots, each with a relative error of its backend's `sum`, by Cauchy and Schwarz.
TEST(CpuAgreement, StreamStatistics) {
  for (const Size& s : kSizes)
    once(s.width, [&] {
      SCOPED_TRACE(fmt::format("{}x{}x{}", s.tokens, s.n, s.width));
      const int64_t square = s.n * s.n;
      const Tensor rows = random_tensor(bf16s({s.tokens, s.n * s.width}), "x"),
                   mixes = random_tensor(f32s({s.tokens, square}), "res", 0.2, 1.0 / s.n),
                   now({{1}, DType::i32}, {1});
      Tensor position({{s.tokens}, DType::i32});
      for (int64_t t = 0; t < s.tokens; ++t) position.set(t, t % 3 == 2 ? -1.0 : double(t));
      const OnDevice<bf16> x(rows);
      const OnDevice<float> res(mixes);
      const OnDevice<int32_t> when(now), at(position);
      const OnDevice<double> y(TensorSpec{{square + 2}, DType::f64});
      const DeviceArray<double> workspace(
          size_t(cuda::stream_statistics_cut(s.tokens).blocks * (square + 2)));
      cuda::stream_statistics({.x = x.data(),
                               .res = res.data(),
                               .when = when.data(),
                               .position = at.data(),
                               .y = y.data(),
                               .workspace = workspace.data(),
                               .tokens = s.tokens,
                               .width = s.width,
                               .n = s.n},
                              nullptr);
      const Tensor cpu = on_cpu(kStreamStatistics, {rows, mixes, now, position}, {})[0];
      Tensor apart = zeros(cpu.spec);
      const double sums = 2 * double(s.tokens + 8) * 0x1p-53;
      for (int64_t k = 0; k < square; ++k)
        for (int64_t t = 0; t < s.tokens; ++t)
          add_to(apart, k, sums * std::fabs(mixes.at(t * square + k)));
      const double dots = device_arithmetic(s.width).sum + cpu_arithmetic(s.width, false).sum;
      apart.set(square, double(s.tokens) * (sums + (s.n > 1 ? 2 * dots : 0)));
      expect_apart(y.tensor(), cpu, apart, "statistics");
    });
}

}  // namespace
}  // namespace birkhoff::testing
