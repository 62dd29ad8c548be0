// mhc_open and mhc_close_open by clusters: same bits as one block, and the bytes that are moved.
#include "base/error.h"
#include "kernels/cuda/mhc_host.h"
#include "tests/cuda/mhc_open_oracle.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

void open_in_cluster(const OpenRun& run) {
  cuda::mhc_open_cluster("mhc_open", run.args, nullptr, nullptr);
}

// Ragged tiles and channels; blocks without a channel, tiles without a token.
const MhcCase kCases[] = {
    {.tokens = 1, .width = 8, .n = 1},
    {.tokens = 17, .width = 264, .iterations = 3},
    {.tokens = 9, .width = 520, .n = 2, .eps = 1e-2},
    {.tokens = 3, .width = 40, .n = 8, .form = SinkhornForm::v4},
};
// The same with more than one cluster.
const MhcCase kLarge[] = {
    {.tokens = 83, .width = 72, .n = 1},
    {.tokens = 81, .width = 72},
    {.tokens = 41, .width = 40, .n = 8},
    {.tokens = 3, .width = 2560, .n = 8},
};

void expect_bits_of_one_block(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const OpenRun one(c), cluster(c);
  cuda::mhc_open(one.args, nullptr);
  open_in_cluster(cluster);
  EXPECT_EQ(cluster.bits(), one.bits());
}

TEST(CudaMhcOpenCluster, HasTheBitsOfOneBlock) {
  for (const MhcCase& c : kCases)
    in_schedules_of_bits([&] {
      if (capability() < 90) GTEST_SKIP() << "needs sm_90";
      expect_bits_of_one_block(c);
    });
  for (const MhcCase& c : kLarge)
    in_one_schedule([&] {
      if (capability() < 90) GTEST_SKIP() << "needs sm_90";
      expect_bits_of_one_block(c);
    });
}

void check_case(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const Tensor x = c.x(), phi = c.phi();
  const OpenRun run(c, x, phi);
  open_in_cluster(run);
  expect_open(run, x, phi);
}

TEST(CudaMhcOpenCluster, IsTheReference) {
  for (const MhcCase& c :
       {MhcCase{.tokens = 11, .width = 72}, MhcCase{.tokens = 9, .width = 40, .n = 8}})
    in_every_schedule([&] {
      if (capability() < 90) GTEST_SKIP() << "needs sm_90";
      check_case(c);
    });
}

// The widths of configs/9b.yaml and 27b.yaml, which use clusters on devices that have them.
TEST(CudaMhcOpenCluster, OfTheModels) {
  for (const int64_t width : {1920, 2560})
    in_one_schedule([&] {
      if (capability() < 90) GTEST_SKIP() << "needs sm_90";
      const MhcCase c{.tokens = 9, .width = width};
      const Tensor x = c.x(), phi = c.phi();
      OpenRun run(c, x, phi);
      const OpenRun one(c, x, phi);
      run.args.capability = 90;
      reset_traffic();
      cuda::mhc_open(run.args, nullptr);
      expect_open(run, x, phi);
      if (has_checker()) {
        EXPECT_GT(traffic().peer_read, 0u);
      }
      cuda::mhc_open(one.args, nullptr);
      EXPECT_EQ(run.bits(), one.bits());
    });
}

// As with one block, a NaN stays one, and stays in its token.
TEST(CudaMhcOpenCluster, ANaNStaysInItsToken) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase c{.tokens = 11, .width = 40};
    Tensor x = c.x();
    x.set(c.n * c.width + 7, std::nan(""));  // of token 1
    const OpenRun one(c, x, c.phi()), cluster(c, x, c.phi());
    cuda::mhc_open(one.args, nullptr);
    open_in_cluster(cluster);
    EXPECT_EQ(cluster.bits(), one.bits());
    EXPECT_TRUE(std::isnan(cluster.y.tensor().at(c.width)));
  });
}

TEST(CudaMhcOpenCluster, LeavesOutWhatIsNotWanted) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase c{.tokens = 3, .width = 40, .n = 2};
    OpenRun all(c), no_h(c), no_y(c);
    no_h.args.h = nullptr, no_y.args.y = nullptr;
    for (const OpenRun* run : {&all, &no_h, &no_y}) open_in_cluster(*run);
    EXPECT_EQ(no_h.y.tensor().bytes, all.y.tensor().bytes);
    EXPECT_EQ(no_y.h.tensor().bytes, all.h.tensor().bytes);
    EXPECT_EQ(no_h.h.tensor().bytes, Tensor(c.bf16s(c.width)).bytes);
    EXPECT_EQ(no_y.y.tensor().bytes, Tensor(c.bf16s(c.width)).bytes);
  });
}

TEST(CudaMhcOpenCluster, IsChosenWherePhiAsksForIt) {
  const auto cut = [](int capability, int n, int64_t width) {
    return cuda::mhc_open_cut({.tokens = 161, .width = width, .n = n, .capability = capability});
  };
  EXPECT_EQ(cut(80, 4, 2560).cluster, 1);
  EXPECT_EQ(cut(90, 4, 1280).cluster, 1);
  EXPECT_EQ(cut(90, 1, 2560).cluster, 1);  // 32 tokens per block are enough for 3 columns
  EXPECT_EQ(cut(90, 2, 2560).cluster, 8);
  for (const int capability : {90, 100}) {
    EXPECT_EQ(cut(capability, 4, 1920).cluster, 8);
    const cuda::MhcOpenCut c = cut(capability, 4, 2560);
    EXPECT_EQ(c.tokens, 80);
    EXPECT_EQ(c.blocks, 3 * 8);
    EXPECT_EQ(c.shared_bytes, 200u * 1024);
  }
  EXPECT_EQ(cut(90, 8, 2560).tokens, 40);
  EXPECT_EQ(cut(90, 8, 2560).shared_bytes, 200u * 1024);
}

uint64_t row_bytes(const MhcCase& c) { return uint64_t(2 * c.n * c.width * c.tokens); }
uint64_t phi_bytes(const MhcCase& c) { return uint64_t(4 * c.n * c.width * c.columns()); }
// y and the coefficients.
uint64_t written_bytes(const MhcCase& c) {
  return uint64_t(c.tokens * (2 * c.width + 4 * (c.columns() + c.n * c.n + c.n + 2)));
}
// x once; phi and gain once in each cluster; alpha and b for each column of a token.
uint64_t requested_bytes(const MhcCase& c, const cuda::MhcOpenCut& cut) {
  return row_bytes(c) + uint64_t(8 * c.columns() * c.tokens) +
         uint64_t(cut.blocks / cut.cluster) * (phi_bytes(c) + 4 * uint64_t(c.width));
}

void check_traffic(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  OpenRun run(c);
  run.args.h = nullptr;
  const cuda::MhcOpenCut cut = cuda::mhc_open_cluster_cut(run.args);
  reset_traffic();
  open_in_cluster(run);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic t = traffic();
  const auto tokens = uint64_t(c.tokens), n = uint64_t(c.n), k = uint64_t(c.columns());
  EXPECT_EQ(t.read, row_bytes(c) + phi_bytes(c) + 4 * (uint64_t(c.width) + k + 3));
  EXPECT_EQ(t.read_requested, requested_bytes(c, cut));
  EXPECT_EQ(t.written, written_bytes(c));
  EXPECT_EQ(t.written_requested, t.written);
  // Between blocks: sums and the squares of h from 7 of 8 blocks, H_pre to 7 of 8. Squares are
  // exchanged for whole tiles, even for missing tokens.
  const uint64_t tiles = (tokens + 7) / 8;
  EXPECT_EQ(t.peer_read, 4 * 7 * ((k + 1) * tokens + 8 * 8 * tiles));
  EXPECT_EQ(t.peer_written, 4 * 7 * n * tokens);
}

TEST(CudaMhcOpenCluster, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c :
       {MhcCase{.tokens = 17, .width = 264}, MhcCase{.tokens = 11, .width = 40, .n = 8}})
    in_every_schedule([&] { check_traffic(c); });
  in_one_schedule([] { check_traffic({.tokens = 81, .width = 264}); });
}

// At most 1.5 times the bytes that must move are requested; phi does not count as such here.
TEST(CudaMhcOpenCluster, AsksForLittleMoreThanItMust) {
  for (const int64_t width : {1920, 2560}) {
    const MhcCase c{.tokens = 4000, .width = width};  // whole clusters
    const cuda::MhcOpenCut cut =
        cuda::mhc_open_cut({.tokens = c.tokens, .width = width, .n = c.n, .capability = 90});
    ASSERT_EQ(c.tokens % cut.tokens, 0);
    const uint64_t asked = requested_bytes(c, cut) + written_bytes(c);
    EXPECT_LE(2 * asked, 3 * (row_bytes(c) + written_bytes(c))) << width;
  }
}

// Bank conflicts occur only with the coefficients, once per cluster, so their number does not
// depend on the width.
TEST(CudaMhcOpenCluster, HasNoBankConflictsInItsLoops) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const int n : {1, 2, 4, 8})
    in_one_schedule([&] {
      uint64_t conflicts[2];
      for (const int times : {1, 2}) {
        const OpenRun run({.tokens = 8, .width = 256 * times, .n = n});
        reset_traffic();
        open_in_cluster(run);
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        conflicts[times - 1] = traffic().wavefronts - traffic().fewest_wavefronts;
      }
      EXPECT_EQ(conflicts[0], conflicts[1]) << n;
    });
}

struct Fused {
  CloseRun close;
  OpenRun open;
  explicit Fused(const MhcCase& c) : close(c), open(c) { open.args.x = close.y.data(); }
};

void expect_fused_bits(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const Fused one(c), cluster(c);
  cuda::mhc_close_open(one.close.args, one.open.args, nullptr);
  cuda::mhc_open_cluster("mhc_close_open", cluster.open.args, &cluster.close.args, nullptr);
  EXPECT_EQ(cluster.close.y.tensor().bytes, one.close.y.tensor().bytes);
  EXPECT_EQ(cluster.open.bits(), one.open.bits());
}

TEST(CudaMhcCloseOpenCluster, HasTheBitsOfOneBlock) {
  for (const MhcCase& c :
       {MhcCase{.tokens = 17, .width = 264}, MhcCase{.tokens = 3, .width = 40, .n = 1},
        MhcCase{.tokens = 9, .width = 40, .n = 2}, MhcCase{.tokens = 3, .width = 72, .n = 8}})
    in_schedules_of_bits([&] {
      if (capability() < 90) GTEST_SKIP() << "needs sm_90";
      expect_fused_bits(c);
    });
  in_one_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    expect_fused_bits({.tokens = 9, .width = 2560});
    expect_fused_bits({.tokens = 83, .width = 72});
  });
}

// At n = 4, 10 elements per channel, as with one block; each block requests all coefficients.
TEST(CudaMhcCloseOpenCluster, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  in_every_schedule([] {
    const MhcCase c{.tokens = 17, .width = 264};
    Fused run(c);
    run.open.args.h = nullptr;
    reset_traffic();
    cuda::mhc_open_cluster("mhc_close_open", run.open.args, &run.close.args, nullptr);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const Traffic t = traffic();
    const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width), n = uint64_t(c.n),
               k = uint64_t(c.columns()), mix = n * n + n;
    const uint64_t rows = 2 * (n + 1) * width * tokens, weights = 4 * (n * width * k + width);
    EXPECT_EQ(t.read, rows + 4 * mix * tokens + weights + 4 * (k + 3));
    EXPECT_EQ(t.read_requested, rows + 8 * 4 * mix * tokens + weights + 8 * k * tokens);
    EXPECT_EQ(t.written, rows + 4 * (mix + k + 2) * tokens);
    EXPECT_EQ(t.written_requested, t.written);
  });
}

}  // namespace
}  // namespace birkhoff::testing
