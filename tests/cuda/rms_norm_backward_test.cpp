#include "kernels/cuda/rms_norm_backward.h"

#include <cmath>
#include <optional>

#include "kernels/rms_norm.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void rms_norm_backward(const Args& args);
}

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  bool base = false;
};

TensorSpec rows(const Case& c) { return {{c.tokens, c.width}, DType::bf16}; }

// Inputs in the order of RmsNormBackward::In, then the bases of dx and dgain.
Tensors tensors(const Case& c) {
  Tensors all = {random_tensor(rows(c), "dy"),
                 random_tensor(rows(c), "x", 2),
                 random_tensor({{c.width}, DType::f32}, "gain", 0.3, 1),
                 Tensor({{c.tokens}, DType::f32}),
                 random_tensor(rows(c), "dx base"),
                 random_tensor({{c.width}, DType::f32}, "dgain base")};
  for (int64_t t = 0; t < c.tokens; ++t) {
    double squares = 0;
    for (int64_t i = 0; i < c.width; ++i) squares += std::pow(all[1].at(t * c.width + i), 2);
    all[3].set(t, 1 / std::sqrt(squares / double(c.width)));
  }
  return all;
}

std::vector<Bounded> expected(const Case& c, const Tensors& in) {
  using B = RmsNormBackward;
  const Tensors values = reference_of(reference::rms_norm_backward, {in.begin(), in.begin() + 4},
                                      {{c.tokens, c.width}, {c.width}}, {});
  const Tensor &dx = values[B::dx], &dgain = values[B::dgain];
  Tensor dx_bound = dx, dgain_bound(dgain.spec, std::vector<double>(size_t(c.width), 0.0));
  for (int64_t t = 0; t < c.tokens; ++t) {
    const double rstd = in[B::rstd].at(t);
    double dots = 0;
    for (int64_t i = 0; i < c.width; ++i)
      dots += std::fabs(in[B::gain].at(i) * in[B::dy].at(t * c.width + i) *
                        in[B::x].at(t * c.width + i));
    for (int64_t i = 0; i < c.width; ++i) {
      const int64_t at = t * c.width + i;
      const double x = std::fabs(in[B::x].at(at)), dy = std::fabs(in[B::dy].at(at));
      // The sum over channels has 32 adds in a thread, 5 in a warp and 8 over warps; half a dozen
      // roundings follow.
      const double pulled = rstd * rstd * rstd / double(c.width) * dots * x;
      const double added = c.base ? std::fabs(in[4].at(at)) : 0;
      const double error = kHalf * (52 * pulled + 6 * rstd * in[B::gain].at(i) * dy + added);
      dx_bound.set(at, error + kStored * (std::fabs(dx.at(at)) + added + error));
      dgain_bound.set(i, dgain_bound.at(i) + kHalf * double(c.tokens + 20) * dy * x * rstd);
    }
  }
  return {{dx, dx_bound}, {dgain, dgain_bound}};
}

struct Trial {
  OnDevice<bf16> dy, x, dx;
  OnDevice<float> gain, rstd, dgain;
  cuda::RmsNormBackwardCut cut;
  DeviceArray<float> workspace;
  cuda::RmsNormBackwardArgs args;

  Trial(const Case& c, const Tensors& in)
      : dy(in[0]),
        x(in[1]),
        dx(in[4]),
        gain(in[2]),
        rstd(in[3]),
        dgain(in[5]),
        cut(cuda::rms_norm_backward_cut(c.tokens, c.width)),
        workspace(size_t(cut.blocks * c.width)),
        args{.dy = dy.data(),
             .x = x.data(),
             .gain = gain.data(),
             .rstd = rstd.data(),
             .dx_base = c.base ? dx.data() : nullptr,
             .dgain_base = c.base ? dgain.data() : nullptr,
             .dx = dx.data(),
             .dgain = dgain.data(),
             .workspace = workspace.data(),
             .tokens = c.tokens,
             .width = c.width} {}
};

TEST(CudaRmsNormBackward, IsTheReference) {
  for (const Case& c : {Case{1, 8},
                        {19, 72},
                        {35, 264, true},
                        {3, 2056},
                        {2, 8192, true},
                        {3, 1280},
                        {2, 1920},
                        {3, 2560}}) {
    SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
    const Tensors in = tensors(c);
    const std::vector<Bounded> want = expected(c, in);
    std::optional<Tensors> first;
    in_every_schedule([&] {
      const Trial trial(c, in);
      cuda::rms_norm_backward(trial.args, nullptr);
      const Tensors got = {trial.dx.tensor(), trial.dgain.tensor()};
      // dx is rounded to bf16 once, dgain to f32 a few times.
      expect_within(got[0], want[0], "dx", kStored / std::sqrt(3), c.base ? &in[4] : nullptr);
      expect_within(got[1], want[1], "dgain", 0x1p-20, c.base ? &in[5] : nullptr);
      for (size_t k = 0; k < 2; ++k) EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << k;
      if (!first) first = got;
    });
  }
}

TEST(CudaRmsNormBackward, CutsByWhatIsAsked) {
  EXPECT_EQ(cuda::rms_norm_backward_cut(4096, 2560).blocks, 256u);
  EXPECT_EQ(cuda::rms_norm_backward_cut(1 << 20, 2560).blocks, 528u);
  EXPECT_EQ(cuda::rms_norm_backward_cut(1, 2048).packs, 1);
  EXPECT_EQ(cuda::rms_norm_backward_cut(1, 2560).packs, 2);
  EXPECT_EQ(cuda::rms_norm_backward_cut(1, 64).threads, 32u);
  EXPECT_THROW(cuda::rms_norm_backward_cut(1, 12), InternalError);
  EXPECT_THROW(cuda::rms_norm_backward_cut(1, 8200), InternalError);
}

TEST(CudaRmsNormBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Case& c : {Case{18, 256}, {17, 2560}, {5, 272, true}})
    in_every_schedule([&] {
      SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
      const Trial trial(c, tensors(c));
      reset_traffic();
      cuda::rms_norm_backward(trial.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width);
      const uint64_t blocks = trial.cut.blocks, warps = trial.cut.threads / 32;
      const uint64_t base = c.base ? 1 : 0, partial = 4 * blocks * width;
      EXPECT_EQ(t.read,
                tokens * (4 + base * 2) * width + 4 * tokens + (4 + base * 4) * width + partial);
      EXPECT_EQ(t.read_requested, t.read + 4 * tokens * (warps - 1) + 4 * width * (blocks - 1));
      EXPECT_EQ(t.written, tokens * 2 * width + partial + 4 * width);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
    });
}

}  // namespace
}  // namespace birkhoff::testing
