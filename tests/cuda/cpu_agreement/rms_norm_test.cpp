// RMSNorm and its backward.
#include "kernels/cuda/rms_norm.h"
#include "kernels/cuda/rms_norm_backward.h"
#include "tests/cuda/cpu_agreement/agreement.h"

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  double eps = 1e-20;

  TensorSpec rows() const { return bf16s({tokens, width}); }
  Tensor x() const { return random_tensor(rows(), "x", 0.1); }  // x² is small, so eps matters
  Tensor dy() const { return random_tensor(rows(), "dy"); }
  Tensor gain() const { return random_tensor(f32s({width}), "gain", 0.3, 1); }
  Tensors normed() const { return on_cpu(kRmsNorm, {x(), gain()}, RmsNorm::Desc{.eps = eps}); }
};

const Case kCases[] = {{1, 8},    {37, 72, 1e-2}, {35, 264},      {70, 40},
                       {3, 1280}, {2, 1920},      {3, 2560, 1e-2}};

// At most 64 squares per thread, 5 adds in the warp and 8 in the block, of which the root halves
// the error; rsqrt adds 2^-22; two roundings follow.
constexpr double kRelative = (77.0 / 2 + 8) * kHalf;

TEST(CpuAgreement, RmsNorm) {
  for (const Case& c : kCases)
    once(c.width, [&] {
      SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
      const OnDevice<bf16> x(c.x()), y(c.rows());
      const OnDevice<float> gain(c.gain()), rstd(f32s({c.tokens}));
      cuda::rms_norm({.x = x.data(),
                      .gain = gain.data(),
                      .y = y.data(),
                      .rstd = rstd.data(),
                      .tokens = c.tokens,
                      .width = c.width,
                      .eps = float(c.eps)},
                     nullptr);
      expect_normed(y.tensor(), rstd.tensor(), c.normed(), kRelative);
    });
}

// dx: each side has a dot of C terms, times x·rstd³/C, and half a dozen roundings.
// dgain: three roundings of a term, and sums over tokens in each side's order.
void check_backward(const Case& c) {
  using B = RmsNormBackward;
  SCOPED_TRACE(fmt::format("{}x{}", c.tokens, c.width));
  const Tensors in = {c.dy(), c.x(), c.gain(), c.normed()[RmsNorm::rstd]};
  const auto cut = cuda::rms_norm_backward_cut(c.tokens, c.width);
  const OnDevice<bf16> dy(in[B::dy]), x(in[B::x]), dx(c.rows());
  const OnDevice<float> gain(in[B::gain]), rstd(in[B::rstd]), dgain(in[B::gain].spec);
  const DeviceArray<float> workspace(size_t(cut.blocks * c.width));
  cuda::rms_norm_backward({.dy = dy.data(),
                           .x = x.data(),
                           .gain = gain.data(),
                           .rstd = rstd.data(),
                           .dx = dx.data(),
                           .dgain = dgain.data(),
                           .workspace = workspace.data(),
                           .tokens = c.tokens,
                           .width = c.width},
                          nullptr);
  const Tensors cpu = on_cpu(kRmsNormBackward, in, {});
  Tensor of_dx = zeros(c.rows()), of_dgain = zeros(in[B::gain].spec);
  const double dots = device_arithmetic(c.width).sum + cpu_arithmetic(c.width, false).sum;
  for (int64_t t = 0; t < c.tokens; ++t) {
    const double r = in[B::rstd].at(t);
    double terms = 0;
    for (int64_t i = 0; i < c.width; ++i)
      terms += std::fabs(in[B::gain].at(i) * in[B::dy].at(t * c.width + i) *
                         in[B::x].at(t * c.width + i));
    for (int64_t i = 0; i < c.width; ++i) {
      const int64_t at = t * c.width + i;
      const double vx = std::fabs(in[B::x].at(at)), vdy = std::fabs(in[B::dy].at(at));
      of_dx.set(at, r * r * r / double(c.width) * terms * vx * (dots + 12 * kHalf) +
                        12 * kHalf * r * std::fabs(in[B::gain].at(i)) * vdy);
      add_to(of_dgain, i, 2 * kHalf * double(c.tokens + 20) * vdy * vx * r);
    }
  }
  expect_apart(dx.tensor(), cpu[B::dx], of_dx, "dx");
  expect_apart(dgain.tensor(), cpu[B::dgain], of_dgain, "dgain");
}

TEST(CpuAgreement, RmsNormBackward) {
  for (const Case& c : kCases) once(c.width, [&] { check_backward(c); });
}

}  // namespace
}  // namespace birkhoff::testing
