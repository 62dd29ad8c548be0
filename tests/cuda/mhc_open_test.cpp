#include "base/error.h"
#include "tests/cuda/mhc_open_oracle.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

void check_case(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const Tensor x = c.x(), phi = c.phi();
  const OpenRun run(c, x, phi);
  cuda::mhc_open(run.args, nullptr);
  expect_open(run, x, phi);
}

const MhcCase kCases[] = {
    {.tokens = 1, .width = 8},
    {.tokens = 2, .width = 16, .iterations = 1},
    {.tokens = 17, .width = 64},
    {.tokens = 3, .width = 264, .iterations = 3},
    {.tokens = 33, .width = 24, .n = 1},
    {.tokens = 35, .width = 40, .n = 2, .eps = 1e-2},
    {.tokens = 9, .width = 32, .n = 8},
    {.tokens = 5, .width = 32, .form = SinkhornForm::v4},
    {.tokens = 3, .width = 16, .n = 8, .form = SinkhornForm::v4, .iterations = 2},
    {.tokens = 9, .width = 16, .b_scale = 40},
};

TEST(CudaMhcOpen, IsTheReference) {
  for (const MhcCase& c : kCases) in_every_schedule([&] { check_case(c); });
}

// The widths of configs/3b.yaml (16 tokens per block), 9b and 27b (8).
TEST(CudaMhcOpen, Of3b) {
  in_one_schedule([] { check_case({.tokens = 3, .width = 1280}); });
}
TEST(CudaMhcOpen, Of9b) {
  in_one_schedule([] { check_case({.tokens = 3, .width = 1920}); });
}
TEST(CudaMhcOpen, Of27b) {
  in_one_schedule([] { check_case({.tokens = 9, .width = 2560}); });
}
TEST(CudaMhcOpen, OfEightStreams) {
  in_one_schedule([] { check_case({.tokens = 2, .width = 2560, .n = 8}); });
}

TEST(CudaMhcOpen, LogitsOf100AreFinite) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 8, .width = 8, .b_scale = 100};
    const OpenRun run(c);
    cuda::mhc_open(run.args, nullptr);
    const Tensor res = run.res.tensor();
    for (int64_t row = 0; row < c.tokens * c.n; ++row) {
      double sum = 0;
      for (int64_t j = 0; j < c.n; ++j) sum += res.at(row * c.n + j);
      EXPECT_LE(std::fabs(sum - 1), 7 * kUlp) << row;
    }
  });
}

TEST(CudaMhcOpen, ATokensBitsAreThoseOfTheToken) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 19, .width = 72};
    const OpenRun all(c), again(c);
    cuda::mhc_open(all.args, nullptr);
    cuda::mhc_open(again.args, nullptr);
    EXPECT_EQ(all.bits(), again.bits());
    // Without the first 5 tokens, all others are at other positions.
    const OpenRun fewer(c);
    cuda::MhcOpenArgs args = fewer.args;
    args.x += 5 * c.n * c.width, args.tokens -= 5;
    cuda::mhc_open(args, nullptr);
    const auto want = all.bits(), got = fewer.bits();
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t row = want[i].size() / size_t(c.tokens);
      EXPECT_TRUE(std::equal(want[i].begin() + long(5 * row), want[i].end(), got[i].begin())) << i;
    }
  });
}

// A step with a NaN is skipped, so a NaN must stay one; and it must not reach other tokens.
TEST(CudaMhcOpen, ANaNStaysInItsToken) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 3, .width = 40};
    Tensor x = c.x();
    x.set(c.n * c.width + 7, std::nan(""));  // of token 1
    const OpenRun clean(c), run(c, x, c.phi());
    cuda::mhc_open(clean.args, nullptr);
    cuda::mhc_open(run.args, nullptr);
    const auto want = clean.bits(), got = run.bits();
    for (size_t i = 0; i < want.size(); ++i) {
      const auto row = long(want[i].size()) / c.tokens;
      EXPECT_TRUE(std::equal(want[i].begin(), want[i].begin() + row, got[i].begin())) << i;
      EXPECT_TRUE(std::equal(want[i].begin() + 2 * row, want[i].end(), got[i].begin() + 2 * row));
    }
    const Tensor y = run.y.tensor(), res = run.res.tensor(), post = run.post.tensor();
    for (int64_t e = 0; e < c.width; ++e) EXPECT_TRUE(std::isnan(y.at(c.width + e))) << e;
    for (int64_t e = 0; e < c.n * c.n; ++e) EXPECT_TRUE(std::isnan(res.at(c.n * c.n + e))) << e;
    for (int64_t i = 0; i < c.n; ++i) EXPECT_TRUE(std::isnan(post.at(c.n + i))) << i;
  });
}

TEST(CudaMhcOpen, LeavesOutWhatIsNotWanted) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 3, .width = 40, .n = 2};
    OpenRun all(c), no_h(c), no_y(c);
    no_h.args.h = nullptr, no_y.args.y = nullptr;
    for (const OpenRun* run : {&all, &no_h, &no_y}) cuda::mhc_open(run->args, nullptr);
    EXPECT_EQ(no_h.y.tensor().bytes, all.y.tensor().bytes);
    EXPECT_EQ(no_y.h.tensor().bytes, all.h.tensor().bytes);
    EXPECT_EQ(no_h.h.tensor().bytes, Tensor(c.bf16s(c.width)).bytes);
    EXPECT_EQ(no_y.y.tensor().bytes, Tensor(c.bf16s(c.width)).bytes);
  });
}

TEST(CudaMhcOpen, CutsByWhatIsAsked) {
  const auto cut = [](int n, int64_t width) {
    return cuda::mhc_open_cut({.tokens = 4096, .width = width, .n = n});
  };
  EXPECT_EQ(cut(4, 1280).tokens, 16);
  EXPECT_EQ(cut(4, 1920).tokens, 8);
  EXPECT_EQ(cut(4, 2560).tokens, 8);
  EXPECT_EQ(cut(2, 1280).tokens, 32);
  EXPECT_EQ(cut(2, 2560).tokens, 16);
  EXPECT_EQ(cut(1, 2560).tokens, 32);
  EXPECT_EQ(cut(8, 1280).tokens, 4);
  EXPECT_EQ(cut(8, 2560).shared_bytes, 160u * 1024);
  EXPECT_EQ(cut(4, 2560).blocks, 512);
  EXPECT_EQ(cut(4, 2560).shared_bytes, 160u * 1024);
}

TEST(CudaMhcOpen, RefusesWhatItHasNoKernelFor) {
  in_every_schedule([] {
    const OpenRun run({.tokens = 2, .width = 8});
    const auto refused = [&](auto change) {
      cuda::MhcOpenArgs args = run.args;
      change(args);
      EXPECT_THROW(cuda::mhc_open(args, nullptr), InternalError);
    };
    refused([](auto& a) { a.n = 3; });
    refused([](auto& a) { a.width = 12; });
    refused([](auto& a) { a.width = 2568; });
    refused([](auto& a) { a.x += 1; });
    refused([](auto& a) { a.gain += 1; });
  });
}

// x is read once and y written once: (n + 1)·width elements per token. In addition each block reads
// phi, and coefficients are written.
Traffic check_traffic(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  OpenRun run(c);
  run.args.h = nullptr;
  const cuda::MhcOpenCut cut = cuda::mhc_open_cut(run.args);
  reset_traffic();
  cuda::mhc_open(run.args, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic t = traffic();
  const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width), n = uint64_t(c.n),
             k = uint64_t(c.columns()), blocks = uint64_t(cut.blocks);
  const uint64_t rows = 2 * n * width * tokens, phi = 4 * n * width * k;
  EXPECT_EQ(t.read, rows + phi + 4 * (width + k + 3));
  // Each of a block's tokens requests alpha and b; each of a tile's tokens requests gain.
  EXPECT_EQ(t.read_requested,
            rows + blocks * (phi + 8 * k * uint64_t(cut.tokens) + (n == 8 ? 4 : 8) * 4 * width));
  EXPECT_EQ(t.written, 2 * width * tokens + 4 * tokens * (k + n * n + n + 2));
  EXPECT_EQ(t.written_requested, t.written);
  const uint64_t conflicts = t.wavefronts - t.fewest_wavefronts;
  EXPECT_EQ(c.n == 4 ? conflicts : 0, 0u);
  return t;
}

TEST(CudaMhcOpen, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c :
       {MhcCase{.tokens = 17, .width = 64}, MhcCase{.tokens = 33, .width = 64, .n = 2},
        MhcCase{.tokens = 5, .width = 32, .n = 8}})
    in_every_schedule([&] { check_traffic(c); });
  in_one_schedule([] {
    const Traffic t = check_traffic({.tokens = 5, .width = 2560});
    // Rows and phi are accessed in whole sectors. The gain of 8 channels is read in two halves,
    // each of which touches all sectors. u of 4 columns is half a sector per token, 5 where 3 would
    // do.
    EXPECT_EQ(t.sectors - t.fewest_sectors, 4 * 2560 / 32 + 24 / 4 * 2u);
  });
}

// For other n, bank conflicts occur only with the coefficients, once per block, so their number
// does not depend on the width.
TEST(CudaMhcOpen, HasNoBankConflictsInItsLoops) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const int n : {1, 2, 8})
    in_one_schedule([&] {
      uint64_t conflicts[2];
      for (const int times : {1, 2}) {
        const OpenRun run({.tokens = 8, .width = 256 * times, .n = n});
        reset_traffic();
        cuda::mhc_open(run.args, nullptr);
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        conflicts[times - 1] = traffic().wavefronts - traffic().fewest_wavefronts;
      }
      EXPECT_EQ(conflicts[0], conflicts[1]) << n;
    });
}

}  // namespace
}  // namespace birkhoff::testing
