#include "kernels/cuda/mhc_backward.h"

#include "base/error.h"
#include "tests/cuda/open_backward_run.h"

namespace birkhoff::testing {
namespace {

TEST(CudaMhcOpenBackward, IsTheReference) {
  for (const MhcCase& c :
       {MhcCase{.tokens = 1, .width = 8, .n = 1},
        {.tokens = 37, .width = 72, .n = 1, .base = true},
        {.tokens = 19, .width = 64, .n = 2},
        {.tokens = 9, .width = 72, .n = 2, .form = SinkhornForm::v4},
        {.tokens = 70, .width = 72},  // two splits; last tiles and slabs are partial
        {.tokens = 17, .width = 24, .form = SinkhornForm::v4, .base = true},
        {.tokens = 5, .width = 40, .n = 8},
        {.tokens = 3, .width = 8, .n = 8, .form = SinkhornForm::v4}})
    expect_open_backward(c);
}

// After the first column softmax, entries are almost 0 or 1; nothing may under- or overflow.
TEST(CudaMhcOpenBackward, TakesLogitsOfAHundred) {
  for (const SinkhornForm form : {SinkhornForm::paper, SinkhornForm::v4})
    expect_open_backward({.tokens = 6, .width = 16, .form = form, .b_scale = 60});
}

TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf3B) {
  expect_open_backward({.tokens = 3, .width = 1280}, in_one_schedule);
}
TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf9B) {
  expect_open_backward({.tokens = 2, .width = 1920}, in_one_schedule);
}
TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf27B) {
  expect_open_backward({.tokens = 2, .width = 2560}, in_one_schedule);
}

// At C = 2560 and n = 4 a token's coefficient row is read by 40 slabs, 7.5 KB against the 143 KB
// that its streams move, and phi by 8 splits.
TEST(CudaMhcOpenBackward, AsksForLittleTwice) {
  const auto cut = cuda::mhc_open_backward_cut({.tokens = 4096, .width = 2560, .n = 4});
  const double streams = 4096.0 * 18 * 2560 * 2;  // 18C: (b) and (c)
  const double rows = 4096.0 * cut.slabs * double(cut.row) * 4, phi = 4.0 * 4 * 2560 * 24;
  EXPECT_LE(rows + cut.splits * phi, 0.15 * streams);
}

struct Bytes {
  uint64_t read = 0, written = 0;
  uint64_t again = 0;  // requested by further blocks
};

// The table of docs/kernels.md, for both kernels of (b) and both of (c).
Bytes open_backward_bytes(const OpenBackwardRun& run, const MhcCase& c) {
  const auto t = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width),
             k = uint64_t(c.columns()), row = uint64_t(run.cut.row);
  const uint64_t phi = 4 * n * width * k, base = c.base ? 1 : 0;
  const uint64_t sums = uint64_t(run.cut.blocks) * 2 * k * 4, partial = run.cut.splits * phi;
  Bytes bytes;
  bytes.read += t * (2 * (n + 1) * width + 4 * (k + 1 + n + n * n)) + 4 * (3 + k);  // (b)
  bytes.written += t * 4 * row + sums;
  bytes.read += sums + base * 4 * (3 + k);
  bytes.written += 4 * (3 + k);
  bytes.read += t * (2 * (2 * n + 1) * width + 4 * row) + phi;  // (c)
  bytes.written += t * 2 * n * width + partial;
  bytes.read += partial + base * phi;
  bytes.written += phi;
  bytes.again = (run.cut.blocks - 1) * 4 * (3 + k) + (run.cut.splits - 1) * phi +
                (run.cut.slabs - 1) * t * 4 * row;
  return bytes;
}

TEST(CudaMhcOpenBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c : {MhcCase{.tokens = 70, .width = 136},
                           {.tokens = 16, .width = 64, .base = true},
                           {.tokens = 16, .width = 64, .n = 1},
                           {.tokens = 17, .width = 72, .n = 2},
                           {.tokens = 18, .width = 64, .n = 8}}) {
    SCOPED_TRACE(c.name());
    const Tensors in = open_backward_inputs(c);
    in_every_schedule([&] {
      const OpenBackwardRun run(c, in);
      reset_traffic();
      run();
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const Bytes bytes = open_backward_bytes(run, c);
      EXPECT_EQ(t.read, bytes.read);
      EXPECT_EQ(t.written, bytes.written);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.read_requested, bytes.read + bytes.again);
      // At n = 1 and 2 the output of (b) has bank conflicts, once per token; at n = 8 three threads
      // of the last block have some, once per call.
      if (c.n == 4)
        EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
      else
        EXPECT_LE(double(t.wavefronts), 1.03 * double(t.fewest_wavefronts));
      if (c.n == 4 && c.width % run.cut.slab == 0) {
        EXPECT_EQ(t.sectors, t.fewest_sectors);
      }
    });
  }
}

TEST(CudaMhcOpenBackward, WithoutTokensIsItsBase) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 0, .width = 8, .base = true};
    Tensors in = open_backward_inputs({.tokens = 1, .width = 8});
    const OpenBackwardRun run(c, in);
    run();
    const Tensors got = run.results(), bases = run.bases;
    for (size_t k = 0; k < bases.size(); ++k) EXPECT_EQ(got[k + 1].bytes, bases[k].bytes);
  });
}

TEST(CudaMhcOpenBackward, CutsByWhatIsAsked) {
  const auto cut = [](int64_t tokens, int64_t width) {
    return cuda::mhc_open_backward_cut({.tokens = tokens, .width = width, .n = 4});
  };
  EXPECT_EQ(cut(4096, 2560).splits, 8u);
  EXPECT_EQ(cut(4096, 2560).slabs, 40u);
  EXPECT_EQ(cut(4096, 2560).split_tokens, 512);
  EXPECT_EQ(cut(4096, 2560).blocks, 512u);
  EXPECT_EQ(cut(64, 2560).splits, 1u);
  EXPECT_EQ(cut(65, 2560).splits, 2u);
  EXPECT_EQ(cut(1 << 20, 2560).splits, 8u);
  EXPECT_LE(cut(1 << 20, 2560).blocks, 1056u);
  EXPECT_EQ(cut(1, 72).slabs, 2u);
}

TEST(CudaMhcOpenBackward, Refuses) {
  in_every_schedule([] {
    const MhcCase c{.tokens = 1, .width = 8};
    const OpenBackwardRun run(c, open_backward_inputs(c));
    auto args = run.args;
    args.n = 3;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
    args = run.args;
    args.width = 12;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
    args = run.args;
    ++args.dlink;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
