#include "base/error.h"
#include "tests/cuda/hc_case.h"
#include "tests/cuda/mhc_case.h"
#include "tests/cuda/opened.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void hc_open(const Args& args);
}

namespace birkhoff::testing {
namespace {

// Checks u and the norms against the oracle, which gets theta as tf32.
void expect_projection(const HcOpenRun& run) {
  const HcCase& c = run.c;
  const Tensor x = c.x(), theta = c.theta();
  const int64_t columns = c.columns();
  const Tensors want = reference_of(reference::hc_open, {x, as_tf32(theta), c.alpha(), c.b()},
                                    {{c.tokens, c.width},
                                     {c.tokens, c.n * c.width},
                                     {c.tokens, c.n},
                                     {c.tokens, c.n * c.n},
                                     {c.tokens, columns},
                                     {c.tokens, c.n}},
                                    c.desc());
  const Tensor u = run.u.tensor(), rstd = run.stream_rstd.tensor();
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t r = k / c.n, j = k % c.n, row = t * c.n + j;
      const double inverse = want[HcOpen::rstd].at(row),
                   value = want[HcOpen::u].at(t * columns + k);
      ASSERT_LE(std::fabs(rstd.at(row) - inverse), relative_of_rms(c.width) * inverse) << row;
      // A warp adds up its products one by one, 256 channels per step; then the 8 warps are added.
      // Each add costs an ulp, as a tensor core may truncate.
      double terms = 0;
      for (int64_t e = 0; e < c.width; ++e)
        terms += std::fabs(x.at(row * c.width + e) * theta.at(r * c.width + e));
      const double adds = double((c.width + 255) / 256 * 32 + 8);
      const double bound =
          adds * kUlp * terms * inverse + (relative_of_rms(c.width) + kUlp) * std::fabs(value);
      ASSERT_LE(std::fabs(u.at(t * columns + k) - value), bound)
          << "token " << t << " column " << k;
    }
}

// H~ in fp64, from the device's own u; in static HC it is b. tanhf, at most 1, is accurate to 2
// ulp, and the FMA to half an ulp of its result.
struct Coefficients {
  std::vector<double> value, error;
  Coefficients(const HcCase& c, const Tensor& u, int64_t t) {
    const Tensor alpha = c.alpha(), b = c.b();
    for (int64_t k = 0; k < c.columns(); ++k) {
      const double scale = c.dynamic ? alpha.at(c.desc().group(k)) : 0;
      const double bounded = c.dynamic ? std::tanh(u.at(t * c.columns() + k)) : 0;
      value.push_back(scale * bounded + b.at(k));
      error.push_back(2 * kUlp * std::fabs(scale) + kHalf * std::fabs(value.back()));
    }
  }
};

void expect_coefficients(const HcOpenRun& run) {
  const HcCase& c = run.c;
  const Tensor u = run.u.tensor(), post = run.post.tensor(), res = run.res.tensor();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const Coefficients want(c, u, t);
    for (int64_t k = c.n; k < c.columns(); ++k) {
      const double got =
          k < 2 * c.n ? post.at(t * c.n + k - c.n) : res.at(t * c.n * c.n + k - 2 * c.n);
      ASSERT_LE(std::fabs(got - want.value[size_t(k)]), want.error[size_t(k)])
          << "token " << t << " column " << k;
    }
  }
}

void check_case(const HcCase& c) {
  SCOPED_TRACE(c.name());
  const HcOpenRun run(c);
  cuda::hc_open(run.args, nullptr);
  if (c.dynamic) expect_projection(run);
  expect_coefficients(run);
  const Tensor u = run.u.tensor();
  expect_opened(run, c.x(), [&](int64_t t) {
    const Coefficients of(c, u, t);
    return Pre{{of.value.begin(), of.value.begin() + c.n},
               {of.error.begin(), of.error.begin() + c.n}};
  });
}

const HcCase kCases[] = {
    {.tokens = 1, .width = 8},
    {.tokens = 17, .width = 64, .eps = 1e-2},
    {.tokens = 3, .width = 264},
    {.tokens = 33, .width = 24, .n = 1},
    {.tokens = 35, .width = 40, .n = 2},
    {.tokens = 9, .width = 32, .n = 8},
    {.tokens = 5, .width = 40, .dynamic = false},
    {.tokens = 3, .width = 16, .n = 8, .dynamic = false},
};

TEST(CudaHcOpen, IsTheReference) {
  for (const HcCase& c : kCases) in_every_schedule([&] { check_case(c); });
}

// The widths of configs/3b-hc.yaml, 9b-hc and 27b-hc.
TEST(CudaHcOpen, OfTheModels) {
  for (const int64_t width : {1280, 1920, 2560})
    in_one_schedule([&] { check_case({.tokens = 9, .width = width}); });
  in_one_schedule([] { check_case({.tokens = 2, .width = 2560, .n = 8}); });
}

TEST(CudaHcOpen, ATokensBitsAreThoseOfTheToken) {
  for (const bool dynamic : {true, false})
    in_every_schedule([&] {
      const HcCase c{.tokens = 19, .width = 72, .dynamic = dynamic};
      const HcOpenRun all(c), again(c), fewer(c);
      cuda::hc_open(all.args, nullptr);
      cuda::hc_open(again.args, nullptr);
      EXPECT_EQ(all.bits(), again.bits());
      // Without the first 5 tokens, all others are at other positions.
      cuda::HcOpenArgs args = fewer.args;
      args.x += 5 * c.n * c.width, args.tokens -= 5;
      cuda::hc_open(args, nullptr);
      const auto want = all.bits(), got = fewer.bits();
      for (size_t i = 0; i < want.size(); ++i) {
        const size_t row = want[i].size() / size_t(c.tokens);
        EXPECT_TRUE(std::equal(want[i].begin() + long(5 * row), want[i].end(), got[i].begin()))
            << i;
      }
    });
}

TEST(CudaHcOpen, LeavesOutWhatIsNotWanted) {
  in_every_schedule([] {
    const HcCase c{.tokens = 3, .width = 40, .n = 2};
    HcOpenRun all(c), no_h(c), no_y(c);
    no_h.args.h = nullptr, no_y.args.y = nullptr;
    for (const HcOpenRun* run : {&all, &no_h, &no_y}) cuda::hc_open(run->args, nullptr);
    EXPECT_EQ(no_h.y.tensor().bytes, all.y.tensor().bytes);
    EXPECT_EQ(no_y.h.tensor().bytes, all.h.tensor().bytes);
  });
}

MhcCase closing(const HcCase& c) { return {.tokens = c.tokens, .width = c.width, .n = c.n}; }

TEST(CudaHcCloseOpen, HasTheBitsOfTheTwoAlone) {
  const auto check = [](const HcCase& c) {
    SCOPED_TRACE(c.name());
    const CloseRun close(closing(c)), apart(closing(c));
    HcOpenRun open(c), behind(c);
    open.args.x = close.y.data(), behind.args.x = apart.y.data();
    cuda::hc_close_open(close.args, open.args, nullptr);
    cuda::mhc_close(apart.args, nullptr);
    cuda::hc_open(behind.args, nullptr);
    EXPECT_EQ(close.y.tensor().bytes, apart.y.tensor().bytes);
    EXPECT_EQ(open.bits(), behind.bits());
  };
  for (const HcCase& c : {HcCase{.tokens = 3, .width = 8, .n = 1},
                          {.tokens = 35, .width = 40, .n = 2},
                          {.tokens = 17, .width = 264},
                          {.tokens = 9, .width = 72, .n = 8},
                          {.tokens = 9, .width = 40, .dynamic = false}})
    in_schedules_of_bits([&] { check(c); });
  in_one_schedule([&] { check({.tokens = 9, .width = 1536}); });
}

TEST(CudaHcOpen, Refuses) {
  in_every_schedule([] {
    const HcOpenRun run({.tokens = 2, .width = 8});
    const auto refused = [&](auto change) {
      cuda::HcOpenArgs args = run.args;
      change(args);
      EXPECT_THROW(cuda::hc_open(args, nullptr), InternalError);
    };
    refused([](auto& a) { a.n = 3; });
    refused([](auto& a) { a.width = 2568; });
    refused([](auto& a) { a.theta += 1; });
    refused([](auto& a) { a.alpha = nullptr; });
    const CloseRun close(closing(run.c));
    EXPECT_THROW(cuda::hc_close_open(close.args, run.args, nullptr), InternalError);
  });
}

// x is read once and y written once: (n + 1)·width elements per token. Each block also reads theta.
void check_traffic(const HcCase& c) {
  SCOPED_TRACE(c.name());
  HcOpenRun run(c);
  run.args.h = nullptr;
  const cuda::MhcOpenCut cut = cuda::hc_open_cut(run.args);
  reset_traffic();
  cuda::hc_open(run.args, nullptr);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic t = traffic();
  const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width), n = uint64_t(c.n),
             k = uint64_t(c.columns()), blocks = uint64_t(cut.blocks),
             dynamic = uint64_t(c.dynamic);
  const uint64_t rows = 2 * n * width * tokens, theta = dynamic * 4 * (n + 2) * width;
  EXPECT_EQ(t.read, rows + theta + 4 * (width + k + dynamic * 3));
  // Each of a block's tokens requests b and alpha; each of a tile's tokens requests gain.
  EXPECT_EQ(t.read_requested,
            rows + blocks * (theta + 4 * (1 + dynamic) * k * uint64_t(cut.tokens) +
                             (n == 8 ? 4 : 8) * 4 * width));
  EXPECT_EQ(t.written, 2 * width * tokens + 4 * tokens * (n * n + n + 1 + dynamic * (k + n)));
  EXPECT_EQ(t.written_requested, t.written);
  if (c.n == 4) {
    EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
  }
}

TEST(CudaHcOpen, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const HcCase& c : {HcCase{.tokens = 17, .width = 64},
                          {.tokens = 17, .width = 64, .dynamic = false},
                          {.tokens = 33, .width = 64, .n = 2},
                          {.tokens = 5, .width = 32, .n = 8}})
    in_every_schedule([&] { check_traffic(c); });
  in_one_schedule([] { check_traffic({.tokens = 5, .width = 2560}); });
}

}  // namespace
}  // namespace birkhoff::testing
