#include "kernels/cuda/rms_norm.h"

#include <cmath>

#include "kernels/rms_norm.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void rms_norm(const Args& args);
}

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  double eps = 1e-20;
  bool base = false;
  int64_t offset = 0;  // of all arrays, in elements

  TensorSpec rows() const { return {{tokens, width}, DType::bf16}; }
  Tensor x() const { return random_tensor(rows(), "x"); }
  Tensor gain() const { return random_tensor({{width}, DType::f32}, "gain", 0.3, 1); }
  Tensor bases() const { return random_tensor(rows(), "base"); }
};

struct Results {
  Tensor y, rstd;
};

// The oracle's results in fp64.
Results expected(const Case& c) {
  const Tensor x = c.x().as(DType::f64), gain = c.gain().as(DType::f64),
               base = c.bases().as(DType::f64);
  Results r{Tensor({{c.tokens, c.width}, DType::f64}), Tensor({{c.tokens}, DType::f64})};
  const Operand inputs[] = {{&x.spec, x.bytes.data()}, {&gain.spec, gain.bytes.data()}};
  const Result outputs[] = {{&r.y.spec, r.y.bytes.data(), c.base ? base.bytes.data() : nullptr},
                            {&r.rstd.spec, r.rstd.bytes.data()}};
  const Desc desc = RmsNorm::Desc{.eps = c.eps};
  Context context;
  reference::rms_norm({inputs, outputs, &desc, &context});
  return r;
}

struct Trial {
  OnDevice<bf16> x, base, y;
  OnDevice<float> gain, rstd;
  cuda::RmsNormArgs args;

  explicit Trial(const Case& c)
      : x(c.x(), c.offset),
        base(c.bases(), c.offset),
        y(Tensor(c.rows()), c.offset),
        gain(c.gain(), c.offset),
        rstd(Tensor({{c.tokens}, DType::f32}), c.offset),
        args{.x = x.data(),
             .gain = gain.data(),
             .base = c.base ? base.data() : nullptr,
             .y = y.data(),
             .rstd = rstd.data(),
             .tokens = c.tokens,
             .width = c.width,
             .eps = float(c.eps)} {}
};

// Relative error of both f32 passes together. A sum of squares with at most 64 terms per thread, 5
// adds in the warp and 8 in the block has one below 77·2^-24, of which rstd gets half; rsqrt adds
// 2^-22, the division and the two products a rounding each. In all it is below 32·2^-23.
constexpr double kRelative = 32 * 0x1p-23;

void expect_results(const Case& c, const Trial& run) {
  const Results want = expected(c);
  const Tensor y = run.y.tensor(), rstd = run.rstd.tensor(), base = c.bases();
  for (int64_t t = 0; t < c.tokens; ++t)
    ASSERT_LE(std::fabs(rstd.at(t) - want.rstd.at(t)), kRelative * want.rstd.at(t)) << t;
  for (int64_t i = 0; i < y.spec.count(); ++i) {
    // Rounding to bf16 adds half an ulp of 8 significant bits.
    const double added = c.base ? std::fabs(base.at(i)) : 0;
    const double bound =
        0x1p-8 * std::fabs(want.y.at(i)) + kRelative * (std::fabs(want.y.at(i)) + 2 * added);
    ASSERT_LE(std::fabs(y.at(i) - want.y.at(i)), bound)
        << "row " << i / c.width << " column " << i % c.width;
  }
}

const Case kCases[] = {
    {.tokens = 1, .width = 1},
    {.tokens = 1, .width = 8},
    {.tokens = 3, .width = 64, .eps = 1e-2},
    {.tokens = 5, .width = 33},
    {.tokens = 7, .width = 264, .base = true},
    {.tokens = 2, .width = 1001, .base = true},
    {.tokens = 4, .width = 64, .offset = 1},
    {.tokens = 3, .width = 2560},
    {.tokens = 2, .width = 8192},
    {.tokens = 1, .width = 8200},
};

TEST(CudaRmsNorm, IsTheReference) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
    in_every_schedule([&] {
      const Trial run(c);
      cuda::rms_norm(run.args, nullptr);
      expect_results(c, run);
    });
  }
}

TEST(CudaRmsNorm, AddsInPlaceAndLeavesOutWhatIsNotWanted) {
  in_every_schedule([] {
    const Case c{.tokens = 5, .width = 264, .base = true};
    Trial run(c);
    run.args.y = run.base.data();
    cuda::rms_norm(run.args, nullptr);
    run.args.y = run.y.data();
    EXPECT_EQ(run.base.tensor().bytes, [&] {
      Trial apart(c);
      cuda::rms_norm(apart.args, nullptr);
      return apart.y.tensor().bytes;
    }());
    run.args.y = nullptr;
    run.args.rstd_base = run.args.rstd;
    cuda::rms_norm(run.args, nullptr);
    const Tensor twice = run.rstd.tensor();
    const Results want = expected(c);
    for (int64_t t = 0; t < c.tokens; ++t)
      EXPECT_LE(std::fabs(twice.at(t) - 2 * want.rstd.at(t)), 2 * kRelative * want.rstd.at(t));
  });
}

TEST(CudaRmsNorm, CutsByWhatIsAsked) {
  const auto cut = [](int64_t tokens, int64_t width) {
    return cuda::rms_norm_cut({.tokens = tokens, .width = width});
  };
  EXPECT_EQ(cut(1, 2048).packs, 1);
  EXPECT_EQ(cut(1, 2056).packs, 2);
  EXPECT_EQ(cut(1, 8192).packs, 4);
  EXPECT_EQ(cut(1, 8200).packs, 0);
  EXPECT_EQ(cut(1, 12).packs, 0);
  EXPECT_EQ(cut(1, 64).threads, 32u);
  EXPECT_EQ(cut(5, 64).blocks, 3u);
  EXPECT_EQ(cut(4096, 64).rows, 7);
}

// x is read once, gain once per block, y and rstd are written once, and nothing else is moved.
TEST(CudaRmsNorm, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Case& c :
       {Case{.tokens = 7, .width = 272}, Case{.tokens = 6, .width = 2560},
        Case{.tokens = 4, .width = 64, .base = true}, Case{.tokens = 5, .width = 33}})
    in_every_schedule([&] {
      SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
      const Trial run(c);
      const cuda::RmsNormCut cut = cuda::rms_norm_cut(run.args);
      reset_traffic();
      cuda::rms_norm(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto elements = uint64_t(c.tokens * c.width), width = uint64_t(c.width);
      const uint64_t rows_read = cut.packs == 0 ? 2 : 1, base = c.base ? 2 * elements : 0;
      EXPECT_EQ(t.read, 2 * elements + 4 * width + base);
      // The element-by-element kernel reads gain for each row.
      const uint64_t gains = cut.packs == 0 ? uint64_t(c.tokens) : cut.blocks;
      EXPECT_EQ(t.read_requested, 2 * elements * rows_read + 4 * width * gains + base);
      EXPECT_EQ(t.written, 2 * elements + 4 * uint64_t(c.tokens));
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
      if (cut.packs == 0) return;
      // The 8 floats of gain for 8 bf16 are read in two halves, each of which touches all sectors.
      EXPECT_EQ(t.sectors - t.fewest_sectors, 4 * width / 32 * cut.blocks);
      EXPECT_LE(double(t.read_requested + t.written_requested), 1.5 * double(t.read + t.written));
    });
}

}  // namespace
}  // namespace birkhoff::testing
