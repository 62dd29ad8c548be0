#pragma once
// A test case of HC on the device: inputs by name, the forward's arguments and results.
#include "kernels/cuda/hc.h"
#include "kernels/hc.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"

namespace birkhoff::testing {

struct HcCase {
  int64_t tokens, width;
  int n = 4;
  bool dynamic = true;
  double eps = 1e-20;
  bool base = false;  // whether the backward adds to bases

  HcDesc desc() const { return {.n = n, .eps = eps}; }
  int64_t columns() const { return desc().columns(); }
  std::string name() const {
    return fmt::format("{}x{}x{}{}", tokens, n, width, dynamic ? "" : " static");
  }
  TensorSpec streams() const { return bf16s({tokens, n * width}); }
  Tensor x() const { return random_tensor(streams(), "x"); }
  // Scaled so that u has a standard deviation of 1 at any width. Absent in static HC, like alpha.
  Tensor theta() const {
    if (!dynamic) return {};
    return random_tensor(f32s({n + 2, width}), "theta", 1 / std::sqrt(double(width)));
  }
  Tensor alpha() const { return dynamic ? random_tensor(f32s({3}), "alpha", 0.3, 1) : Tensor(); }
  Tensor b() const { return random_tensor(f32s({columns()}), "b"); }
  Tensor gain() const { return random_tensor(f32s({width}), "gain", 0.3, 1); }
};

struct HcOpenRun {
  HcCase c;
  OnDevice<bf16> x, h, y;
  OnDevice<float> theta, alpha, b, gain, post, res, u, stream_rstd, rstd;
  cuda::HcOpenArgs args;

  explicit HcOpenRun(const HcCase& of)
      : c(of),
        x(c.x()),
        h(bf16s({c.tokens, c.width})),
        y(bf16s({c.tokens, c.width})),
        theta(c.dynamic ? c.theta() : c.b()),
        alpha(c.dynamic ? c.alpha() : c.b()),
        b(c.b()),
        gain(c.gain()),
        post(f32s({c.tokens, c.n})),
        res(f32s({c.tokens, c.n * c.n})),
        u(f32s({c.tokens, c.columns()})),
        stream_rstd(f32s({c.tokens, c.n})),
        rstd(f32s({c.tokens})),
        args{.x = x.data(),
             .theta = c.dynamic ? theta.data() : nullptr,
             .alpha = c.dynamic ? alpha.data() : nullptr,
             .b = b.data(),
             .gain = gain.data(),
             .h = h.data(),
             .y = y.data(),
             .post = post.data(),
             .res = res.data(),
             .u = c.dynamic ? u.data() : nullptr,
             .stream_rstd = c.dynamic ? stream_rstd.data() : nullptr,
             .rstd = rstd.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n,
             .eps = float(c.eps),
             .norm_eps = 1e-20f} {}

  // The bytes of all outputs.
  std::vector<std::vector<std::byte>> bits() const {
    std::vector<std::vector<std::byte>> all = {h.tensor().bytes, y.tensor().bytes,
                                               post.tensor().bytes, res.tensor().bytes,
                                               rstd.tensor().bytes};
    if (!c.dynamic) return all;
    all.push_back(u.tensor().bytes);
    all.push_back(stream_rstd.tensor().bytes);
    return all;
  }
};

}  // namespace birkhoff::testing
