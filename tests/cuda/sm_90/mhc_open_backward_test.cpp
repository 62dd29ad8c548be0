// mHC's backward in two passes: mhc_open_backward by clusters.
#include <algorithm>

#include "base/error.h"
#include "tests/cuda/open_backward_run.h"

namespace birkhoff::testing {
namespace {

// Ragged tiles and channels; blocks and warps without channels; partial tiles, and splits with
// fewer tiles.
TEST(CudaMhcOpenBackwardCluster, IsTheReference) {
  for (const MhcCase& c :
       {MhcCase{.tokens = 1, .width = 8, .n = 1, .two_passes = true},
        {.tokens = 37, .width = 72, .n = 1, .base = true, .two_passes = true},
        {.tokens = 19, .width = 264, .n = 2, .form = SinkhornForm::v4, .two_passes = true},
        {.tokens = 9, .width = 136, .base = true, .two_passes = true}})
    expect_open_backward(c, in_schedules_of_bits);
}

TEST(CudaMhcOpenBackwardCluster, WalksSplitsOfManyTiles) {
  for (const MhcCase& c : {MhcCase{.tokens = 75, .width = 72, .two_passes = true},
                           {.tokens = 130, .width = 24, .n = 2, .two_passes = true}})
    expect_open_backward(c, in_one_schedule);
}

TEST(CudaMhcOpenBackwardCluster, TakesLogitsOfAHundred) {
  for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4})
    expect_open_backward(
        {.tokens = 6, .width = 16, .form = form, .b_scale = 60, .two_passes = true},
        in_one_schedule);
}

TEST(CudaMhcOpenBackwardCluster, OfTheModels) {
  for (const int64_t width : {1280, 1920, 2560})
    expect_open_backward({.tokens = 9, .width = width, .two_passes = true}, in_one_schedule);
}

struct Moved {
  uint64_t read = 0, written = 0, again = 0;  // again: requested by further blocks
};

// The table of docs/kernels.md.
Moved bytes_of(const cuda::MhcOpenBackwardCut& cut, const MhcCase& c) {
  const auto t = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width),
             k = uint64_t(c.columns()), base = uint64_t{c.base};
  const uint64_t phi = 4 * n * width * k, small = 4 * (3 + k);
  const uint64_t sums = uint64_t{cut.blocks} * 2 * k * 4, partial = cut.splits * phi;
  Moved bytes;
  bytes.read = t * (2 * (2 * n + 1) * width + 4 * (k + 1 + n)) + phi + small;
  bytes.written = t * 2 * n * width + partial + sums;
  bytes.read += partial + sums + base * (phi + small);
  bytes.written += phi + small;
  bytes.again = (cut.splits - 1) * phi + (cut.blocks - 1) * small;
  return bytes;
}

void check_traffic(const MhcCase& c) {
  SCOPED_TRACE(c.name());
  const OpenBackwardRun run(c, open_backward_inputs(c));
  reset_traffic();
  run();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic t = traffic();
  const Moved bytes = bytes_of(run.cut, c);
  EXPECT_EQ(t.read, bytes.read);
  EXPECT_EQ(t.written, bytes.written);
  EXPECT_EQ(t.written_requested, t.written);
  EXPECT_EQ(t.read_requested, bytes.read + bytes.again);
  // Between blocks, for each tile: the sums of 10 warps of each of 8 blocks, and each block's row,
  // all of which go to 7 other blocks. An arrival counts as 8 bytes read.
  const auto n = uint64_t(c.n), tiles = uint64_t(c.tokens + 7) / 8;
  const uint64_t sums = 4 * ((n + n * n + 3) / 4 * 4);
  const uint64_t row = n == 4 ? 192 : n == 2 ? 64 : 48;
  EXPECT_EQ(t.peer_written, tiles * (80 * 7 * sums + 8 * 7 * row));
  EXPECT_EQ(t.peer_read, tiles * 8 * (80 * 7 + 8 * 7));
}

TEST(CudaMhcOpenBackwardCluster, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  in_every_schedule([] { check_traffic({.tokens = 17, .width = 264, .two_passes = true}); });
  in_one_schedule([] {
    check_traffic({.tokens = 75, .width = 136, .base = true, .two_passes = true});
    check_traffic({.tokens = 9, .width = 40, .n = 1, .two_passes = true});
    check_traffic({.tokens = 11, .width = 72, .n = 2, .base = true, .two_passes = true});
  });
}

// At the models' shapes. Each cluster requests phi.
TEST(CudaMhcOpenBackwardCluster, AsksForLittleMoreThanItMust) {
  for (const int64_t width : {1920, 2560}) {
    const MhcCase c{.tokens = 4096, .width = width};
    const Moved bytes =
        bytes_of(cuda::mhc_open_backward_cut(
                     {.tokens = c.tokens, .width = width, .n = c.n, .capability = 90}),
                 c);
    EXPECT_LE(10 * bytes.again, bytes.read + bytes.written) << width;
    const double streams = double(c.tokens) * 2 * 13 * double(width);  // 13C at n = 4
    EXPECT_LE(double(bytes.read + bytes.written + bytes.again), 1.2 * streams) << width;
  }
}

// Bank conflicts occur only with the coefficients, once per tile, so their number does not depend
// on the width.
TEST(CudaMhcOpenBackwardCluster, HasNoBankConflictsInItsLoops) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const int n : {1, 2, 4})
    in_one_schedule([&] {
      uint64_t conflicts[2];
      for (const int times : {1, 2}) {
        const MhcCase c{.tokens = 8, .width = 1280 * times, .n = n, .two_passes = true};
        const OpenBackwardRun run(c, open_backward_inputs(c));
        reset_traffic();
        run();
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        conflicts[times - 1] = traffic().wavefronts - traffic().fewest_wavefronts;
        if (n > 1) {  // at n = 1 a row of phi is 12 bytes
          EXPECT_EQ(traffic().sectors, traffic().fewest_sectors);
        }
      }
      EXPECT_EQ(conflicts[0], conflicts[1]) << n;
    });
}

TEST(CudaMhcOpenBackwardCluster, WithoutTokensIsItsBase) {
  in_every_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase c{.tokens = 0, .width = 8, .base = true, .two_passes = true};
    const OpenBackwardRun run(c, open_backward_inputs({.tokens = 1, .width = 8}));
    run();
    const Tensors got = run.results(), bases = run.bases;
    for (size_t k = 0; k < bases.size(); ++k) EXPECT_EQ(got[k + 1].bytes, bases[k].bytes);
  });
}

// A NaN in one token reaches its dx and no other token's.
TEST(CudaMhcOpenBackwardCluster, ANaNStaysInItsToken) {
  in_schedules_of_bits([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase c{.tokens = 11, .width = 40, .two_passes = true};
    Tensors in = open_backward_inputs(c);
    const OpenBackwardRun clean(c, in);
    in[MhcOpenBackward::dlink].set(c.n * c.width + 7, std::nan(""));  // of token 1
    const OpenBackwardRun run(c, in);
    clean(), run();
    const Tensor want = clean.dx.tensor(), got = run.dx.tensor();
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t e = t * c.n * c.width; e < (t + 1) * c.n * c.width; ++e)
        EXPECT_TRUE(t == 1 ? std::isnan(got.at(e)) : got.at(e) == want.at(e)) << e;
  });
}

Tensor rows_of(const Tensor& t, int64_t first, int64_t count) {
  const size_t row = t.bytes.size() / size_t(t.spec.shape[0]);
  TensorSpec spec = t.spec;
  spec.shape[0] = count;
  Tensor rows(spec);
  std::copy_n(t.bytes.begin() + ptrdiff_t(size_t(first) * row), size_t(count) * row,
              rows.bytes.begin());
  return rows;
}

// A row's dx depends neither on the number of rows nor on its position.
TEST(CudaMhcOpenBackwardCluster, ATokensBitsAreItsOwn) {
  in_schedules_of_bits([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase many{.tokens = 21, .width = 72, .two_passes = true};
    MhcCase few = many;
    few.tokens = 5;
    const Tensors in = open_backward_inputs(many);
    Tensors last = in;
    for (const auto k :
         {MhcOpenBackward::x, MhcOpenBackward::u, MhcOpenBackward::rho, MhcOpenBackward::dh,
          MhcOpenBackward::dlink, MhcOpenBackward::dpost, MhcOpenBackward::dres})
      last[k] = rows_of(in[k], many.tokens - few.tokens, few.tokens);
    const OpenBackwardRun all(many, in), alone(few, last);
    all(), alone();
    EXPECT_EQ(rows_of(all.dx.tensor(), many.tokens - few.tokens, few.tokens).bytes,
              alone.dx.tensor().bytes);
  });
}

TEST(CudaMhcOpenBackwardCluster, IsChosenForWideRows) {
  const auto two = [](int capability, int n, int64_t width, int iterations = 20) {
    return cuda::mhc_backward_in_two_passes(
        {.width = width, .n = n, .sinkhorn = {.iterations = iterations}, .capability = capability});
  };
  for (const int capability : {90, 100}) {
    for (const int64_t width : {1920, 2560}) EXPECT_TRUE(two(capability, 4, width));
    EXPECT_FALSE(two(capability, 4, 1280));
    EXPECT_FALSE(two(capability, 8, 2560));
    EXPECT_FALSE(two(capability, 4, 2568));
    EXPECT_FALSE(two(capability, 4, 2560, 29));
  }
  EXPECT_FALSE(two(80, 4, 2560));
  const auto cut = [](int64_t tokens) {
    return cuda::mhc_open_backward_cut({.tokens = tokens, .width = 2560, .n = 4, .capability = 90});
  };
  EXPECT_EQ(cut(4096).splits, 16u);
  EXPECT_EQ(cut(4096).blocks, 128u);
  EXPECT_EQ(cut(4096).slab, 320);
  EXPECT_EQ(cut(64).splits, 1u);
  EXPECT_EQ(cut(65).splits, 2u);
  EXPECT_EQ(cut(1 << 20).splits, 16u);
}

// The public function, and the arguments that it rejects.
TEST(CudaMhcOpenBackwardCluster, IsCalledWithoutDres) {
  in_one_schedule([] {
    if (capability() < 90) GTEST_SKIP() << "needs sm_90";
    const MhcCase c{.tokens = 3, .width = 1920, .two_passes = true};
    const OpenBackwardRun run(c, open_backward_inputs(c));
    auto args = run.args;
    args.capability = 90;
    cuda::mhc_open_backward(args, nullptr);
    const Tensors chosen = run.results();
    run();
    EXPECT_EQ(run.dx.tensor().bytes, chosen[0].bytes);
    args.dres = run.dres.data();
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
    args.capability = 80, args.dres = nullptr;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
