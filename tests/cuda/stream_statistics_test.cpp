#include "kernels/cuda/stream_statistics.h"

#include <optional>

#include "base/error.h"
#include "kernels/stream_statistics.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void stream_statistics(const Args& args);
}

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  int n = 4;
  bool base = false;
  int64_t padding = 0;  // if > 0, every padding-th row is padding

  int64_t sums() const { return n * n + 2; }
  // In the first token, stream 1 is zero and the other streams are equal.
  Tensor x() const {
    Tensor t = random_tensor(bf16s({tokens, n * width}), "x");
    for (int64_t i = 0; n > 1 && tokens > 0 && i < n; ++i)
      for (int64_t c = 0; c < width; ++c) t.set(i * width + c, i == 1 ? 0 : t.at(c));
    return t;
  }
  Tensor res() const { return random_tensor(f32s({tokens, n * n}), "res", 0.2, 1.0 / n); }
  bool is_padding(int64_t t) const { return padding && t % padding == padding - 1; }
  int64_t read() const { return tokens - (padding ? tokens / padding : 0); }  // rows
  Tensor position() const {
    Tensor p({{tokens}, DType::i32});
    for (int64_t t = 0; t < tokens; ++t) p.set(t, is_padding(t) ? -1.0 : double(t));
    return p;
  }
  Tensor base_of() const { return random_tensor({{sums()}, DType::f64}, "base", 100); }
  std::string name() const { return fmt::format("{}x{}x{}/{}", tokens, n, width, padding); }
};

struct StatisticsRun {
  OnDevice<bf16> x;
  OnDevice<float> res;
  OnDevice<int32_t> when, position;
  OnDevice<double> y;
  DeviceArray<double> workspace;
  cuda::StreamStatisticsArgs args;

  explicit StatisticsRun(const Case& c, int on = 1)
      : x(c.x()),
        res(c.res()),
        when(Tensor({{1}, DType::i32}, std::vector<double>{double(on)})),
        position(c.position()),
        y(c.base_of()),
        workspace(size_t(cuda::stream_statistics_cut(c.tokens).blocks * c.sums())),
        args{.x = x.data(),
             .res = res.data(),
             .when = when.data(),
             .position = position.data(),
             .base = c.base ? y.data() : nullptr,
             .y = y.data(),
             .workspace = workspace.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n} {}
};

Tensor expected(const Case& c) {
  const Tensor when({{1}, DType::i32}, std::vector<double>{1});
  return reference_of(reference::stream_statistics, {c.x(), c.res(), when, c.position()},
                      {{c.sums()}}, {})[0];
}

// A dot of two streams is an f32 sum with C/32 + 14 roundings in a lane and over lanes, so its
// error is at most γ·Σ|x_i·x_j|, which is at most γ·|x_i|·|x_j| (Cauchy, Schwarz); likewise for the
// squared norms. So a cosine is off by at most 2γ. f64 sums add a rounding of 2^-53 per token.
double bound(const Case& c, int64_t k, double terms) {
  const double exact = double(c.tokens + 8) * 0x1p-53 * terms;
  const double cosine = 2 * kHalf * (double(c.width) / 32 + 14);
  return exact + (k == c.n * c.n && c.n > 1 ? double(c.tokens) * cosine : 0);
}

void check_case(const Case& c, void (*in_schedules)(const std::function<void()>&)) {
  SCOPED_TRACE(c.name());
  const Tensor want = expected(c), res = c.res(), base = c.base_of();
  std::optional<Tensor> first;
  in_schedules([&] {
    const StatisticsRun run(c);
    cuda::stream_statistics(run.args, nullptr);
    const Tensor got = run.y.tensor();
    for (int64_t k = 0; k < c.sums(); ++k) {
      double terms = double(c.tokens) + (c.base ? std::fabs(base.at(k)) : 0);
      for (int64_t t = 0; k < c.n * c.n && t < c.tokens; ++t)
        if (!c.is_padding(t)) terms += std::fabs(res.at(t * c.n * c.n + k));
      const double value = want.at(k) + (c.base ? base.at(k) : 0);
      EXPECT_LE(std::fabs(got.at(k) - value), bound(c, k, terms)) << k;
    }
    EXPECT_EQ(got.bytes, (first ? *first : got).bytes) << "other bits";
    first = got;
  });
}

TEST(CudaStreamStatistics, IsTheReference) {
  for (const Case& c : {Case{1, 8, 1}, Case{5, 72, 2}, Case{37, 264}, Case{19, 40, 4, true},
                        Case{18, 24, 8}, Case{0, 8, 4, true}, Case{37, 40, 4, true, 3},
                        Case{21, 8, 1, false, 2}, Case{18, 8, 2, false, 1}})
    check_case(c, in_every_schedule);
  for (const int64_t width : {1280, 1920, 2560}) check_case({3, width}, in_one_schedule);
}

// The number of blocks determines the order of the f64 sums, and depends on the tokens alone.
TEST(CudaStreamStatistics, CutsByTokensAlone) {
  EXPECT_EQ(cuda::stream_statistics_cut(1).blocks, 1u);
  EXPECT_EQ(cuda::stream_statistics_cut(17).blocks, 2u);
  EXPECT_EQ(cuda::stream_statistics_cut(4096).blocks, 256u);
  EXPECT_LE(cuda::stream_statistics_cut(1 << 20).blocks, 264u);
}

TEST(CudaStreamStatistics, ReadsNothingWhereItIsNotTheTime) {
  in_every_schedule([] {
    for (const bool base : {false, true}) {
      const Case c{3, 40, 4, base};
      StatisticsRun run(c, 0);
      run.args.res = nullptr, run.args.position = nullptr;  // a read would be a fault
      cuda::stream_statistics(run.args, nullptr);
      const Tensor got = run.y.tensor(), kept = c.base_of();
      for (int64_t k = 0; k < c.sums(); ++k) EXPECT_EQ(got.at(k), base ? kept.at(k) : 0) << k;
    }
  });
}

TEST(CudaStreamStatistics, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Case& c :
       {Case{37, 264}, Case{18, 64, 8}, Case{5, 64, 2, true}, Case{37, 64, 4, false, 3}})
    in_every_schedule([&] {
      SCOPED_TRACE(c.name());
      const StatisticsRun run(c);
      reset_traffic();
      cuda::stream_statistics(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto rows = uint64_t(c.read()), n = uint64_t(c.n), width = uint64_t(c.width);
      const uint64_t partial = 8 * cuda::stream_statistics_cut(c.tokens).blocks * (n * n + 2);
      const uint64_t positions = 4 * uint64_t(c.tokens);
      const uint64_t sums = 8 * (n * n + 2);
      // Both kernels read `when`.
      EXPECT_EQ(t.read,
                rows * (2 * n * width + 4 * n * n) + positions + partial + 8 + (c.base ? sums : 0));
      EXPECT_EQ(t.written, partial + sums);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
    });
}

TEST(CudaStreamStatistics, Refuses) {
  in_every_schedule([] {
    const StatisticsRun run({1, 8});
    const auto refused = [&](auto change) {
      cuda::StreamStatisticsArgs args = run.args;
      change(args);
      EXPECT_THROW(cuda::stream_statistics(args, nullptr), InternalError);
    };
    refused([](auto& a) { a.n = 3; });
    refused([](auto& a) { a.width = 12; });
    refused([](auto& a) { ++a.x; });
  });
}

}  // namespace
}  // namespace birkhoff::testing
