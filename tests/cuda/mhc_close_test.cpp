// mhc_close, and mhc_close fused with the mhc_open that follows it.
#include "base/error.h"
#include "tests/cuda/mhc_case.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void mhc_close(const Args& args);
}

namespace birkhoff::testing {
namespace {

void expect_closed(const CloseRun& run) {
  const MhcCase& c = run.c;
  const Tensor x = c.x(), f = c.f(), post = c.post(), res = c.res();
  const Tensor want = reference_of(reference::mhc_close, {x, f, post, res},
                                   {{c.tokens, c.n * c.width}}, StreamsDesc{.n = c.n})[0];
  const Tensor got = run.y.tensor();
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t i = 0; i < c.n; ++i)
      for (int64_t e = 0; e < c.width; ++e) {
        // A product and n FMAs, each rounded once; partial sums are at most the sum of absolute
        // values.
        double terms = std::fabs(post.at(t * c.n + i) * f.at(t * c.width + e));
        for (int64_t j = 0; j < c.n; ++j)
          terms += std::fabs(res.at((t * c.n + i) * c.n + j) * x.at((t * c.n + j) * c.width + e));
        const int64_t at = (t * c.n + i) * c.width + e;
        const double bound = kStored * std::fabs(want.at(at)) + 2 * (c.n + 1) * kHalf * terms;
        ASSERT_LE(std::fabs(got.at(at) - want.at(at)), bound)
            << "token " << t << " stream " << i << " channel " << e;
      }
}

const MhcCase kCases[] = {
    {.tokens = 1, .width = 8, .n = 1},   {.tokens = 5, .width = 264},
    {.tokens = 3, .width = 40, .n = 2},  {.tokens = 2, .width = 72, .n = 8},
    {.tokens = 19, .width = 32, .n = 4}, {.tokens = 2, .width = 2560},
};

TEST(CudaMhcClose, IsTheReference) {
  for (const MhcCase& c : kCases)
    in_every_schedule([&] {
      SCOPED_TRACE(c.name());
      const CloseRun run(c);
      cuda::mhc_close(run.args, nullptr);
      expect_closed(run);
    });
}

TEST(CudaMhcClose, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c : kCases)
    in_every_schedule([&] {
      SCOPED_TRACE(c.name());
      const CloseRun run(c);
      reset_traffic();
      cuda::mhc_close(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto channels = uint64_t(c.tokens * c.width), n = uint64_t(c.n);
      EXPECT_EQ(t.read, 2 * (n + 1) * channels + 4 * (n * n + n) * uint64_t(c.tokens));
      EXPECT_EQ(t.read_requested, t.read);
      EXPECT_EQ(t.written, 2 * n * channels);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
      if (c.width % 16 == 0) {
        EXPECT_EQ(t.sectors, t.fewest_sectors);  // a sector has 16 channels
      }
    });
}

struct Fused {
  CloseRun close;
  OpenRun open;
  explicit Fused(const MhcCase& c) : close(c), open(c) { open.args.x = close.y.data(); }
};

const MhcCase kFused[] = {
    {.tokens = 3, .width = 8, .n = 1},
    {.tokens = 35, .width = 40, .n = 2},
    {.tokens = 17, .width = 264},
    {.tokens = 9, .width = 72, .n = 8, .form = SinkhornForm::v4},
};

void expect_same_bits(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const Fused fused(c), apart(c);
  cuda::mhc_close_open(fused.close.args, fused.open.args, nullptr);
  cuda::mhc_close(apart.close.args, nullptr);
  cuda::mhc_open(apart.open.args, nullptr);
  EXPECT_EQ(fused.close.y.tensor().bytes, apart.close.y.tensor().bytes);
  EXPECT_EQ(fused.open.bits(), apart.open.bits());
}

TEST(CudaMhcCloseOpen, HasTheBitsOfTheTwoAlone) {
  for (const MhcCase& c : kFused) in_schedules_of_bits([&] { expect_same_bits(c); });
  in_one_schedule([] { expect_same_bits({.tokens = 9, .width = 1536}); });  // 8 tokens per block
}

// At n = 4, 10 elements per channel: x and f are read, x' and y written.
void check_fused_traffic(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  Fused run(c);
  run.open.args.h = nullptr;
  reset_traffic();
  cuda::mhc_close_open(run.close.args, run.open.args, nullptr);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic t = traffic();
  const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width), n = uint64_t(c.n),
             k = uint64_t(c.columns()), mix = n * n + n;
  const uint64_t weights = 4 * (n * width * k + width + k + 3);
  EXPECT_EQ(t.read, 2 * (n + 1) * width * tokens + 4 * mix * tokens + weights);
  EXPECT_EQ(t.written, 2 * (n + 1) * width * tokens + 4 * (mix + k + 2) * tokens);
  EXPECT_EQ(t.written_requested, t.written);
}

TEST(CudaMhcCloseOpen, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c :
       {MhcCase{.tokens = 17, .width = 64}, MhcCase{.tokens = 3, .width = 64, .n = 8}})
    in_every_schedule([&] { check_fused_traffic(c); });
  in_one_schedule([] { check_fused_traffic({.tokens = 5, .width = 2560}); });
}

TEST(CudaMhcCloseOpen, RefusesRowsThatAreNotThoseClosed) {
  in_every_schedule([] {
    const Fused run({.tokens = 2, .width = 8});
    cuda::MhcOpenArgs other = run.open.args;
    other.x = run.open.x.data();
    EXPECT_THROW(cuda::mhc_close_open(run.close.args, other, nullptr), InternalError);
    other = run.open.args, other.tokens = 1;
    EXPECT_THROW(cuda::mhc_close_open(run.close.args, other, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
