#pragma once
// A test case of mHC on the device: the forward's inputs by name, its arguments and results.
#include "kernels/cuda/mhc.h"
#include "kernels/mhc.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"

namespace birkhoff::reference {
void mhc_open(const Args& args);
}

namespace birkhoff::testing {

struct MhcCase {
  int64_t tokens, width;
  int n = 4;
  SinkhornForm form = SinkhornForm::paper;
  int iterations = 20;
  double eps = 1e-20, b_scale = 1;
  bool base = false;  // whether the backward adds to bases
  // Whether the backward runs in two passes, by clusters, which compute dres from dlink and x.
  bool two_passes = false;

  MhcDesc desc() const { return {.n = n, .eps = eps, .iterations = iterations, .sinkhorn = form}; }
  std::string name() const { return fmt::format("{}x{}x{} {}", tokens, n, width, name_of(form)); }
  int64_t columns() const { return desc().columns(); }
  TensorSpec bf16s(int64_t row) const { return {{tokens, row}, DType::bf16}; }
  TensorSpec floats(int64_t row) const { return {{tokens, row}, DType::f32}; }
  TensorSpec streams() const { return bf16s(n * width); }

  Tensor x() const { return random_tensor(streams(), "x"); }
  Tensor f() const { return random_tensor(bf16s(width), "f"); }
  // Scaled so that logits have a standard deviation of 1.5 at any width.
  Tensor phi() const {
    return random_tensor({{n * width, columns()}, DType::f32}, "phi",
                         1.5 / std::sqrt(double(n * width)));
  }
  Tensor alpha() const { return random_tensor({{3}, DType::f32}, "alpha", 0.3, 1); }
  Tensor b() const { return random_tensor({{columns()}, DType::f32}, "b", b_scale); }
  Tensor gain() const { return random_tensor({{width}, DType::f32}, "gain", 0.3, 1); }
  // Inputs of mhc_close.
  Tensor post() const { return random_tensor(floats(n), "post", 0.3, 1); }
  Tensor res() const { return random_tensor(floats(n * n), "res", 0.2, 1.0 / n); }
};

// The oracle's results in fp64, in the order of MhcOpen::Out. inputs: in the order of MhcOpen::In.
inline Tensors reference_open(const MhcCase& c, const Tensors& inputs) {
  return reference_of(reference::mhc_open, inputs,
                      {{c.tokens, c.width},
                       {c.tokens, c.n * c.width},
                       {c.tokens, c.n},
                       {c.tokens, c.n * c.n},
                       {c.tokens, c.columns()},
                       {c.tokens}},
                      c.desc());
}

struct OpenRun {
  MhcCase c;
  OnDevice<bf16> x, h, y;
  OnDevice<float> phi, alpha, b, gain, post, res, u, rho, rstd;
  cuda::MhcOpenArgs args;

  explicit OpenRun(const MhcCase& of) : OpenRun(of, of.x(), of.phi()) {}
  OpenRun(const MhcCase& of, const Tensor& rows, const Tensor& weight)
      : c(of),
        x(rows),
        h(c.bf16s(c.width)),
        y(c.bf16s(c.width)),
        phi(weight),
        alpha(c.alpha()),
        b(c.b()),
        gain(c.gain()),
        post(c.floats(c.n)),
        res(c.floats(c.n * c.n)),
        u(c.floats(c.columns())),
        rho(c.floats(1)),
        rstd(c.floats(1)),
        args{.x = x.data(),
             .phi = phi.data(),
             .alpha = alpha.data(),
             .b = b.data(),
             .gain = gain.data(),
             .h = h.data(),
             .y = y.data(),
             .post = post.data(),
             .res = res.data(),
             .u = u.data(),
             .rho = rho.data(),
             .rstd = rstd.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n,
             .eps = float(c.eps),
             .norm_eps = 1e-20f,
             .sinkhorn = {.v4 = c.form == SinkhornForm::v4, .iterations = c.iterations}} {}

  // The bytes of all outputs.
  std::vector<std::vector<std::byte>> bits() const {
    return {h.tensor().bytes, y.tensor().bytes,   post.tensor().bytes, res.tensor().bytes,
            u.tensor().bytes, rho.tensor().bytes, rstd.tensor().bytes};
  }
};

struct CloseRun {
  MhcCase c;
  OnDevice<bf16> x, f, y;
  OnDevice<float> post, res;
  cuda::MhcCloseArgs args;

  explicit CloseRun(const MhcCase& of)
      : c(of),
        x(c.x()),
        f(c.f()),
        y(c.streams()),
        post(c.post()),
        res(c.res()),
        args{.x = x.data(),
             .f = f.data(),
             .post = post.data(),
             .res = res.data(),
             .y = y.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n} {}
};

}  // namespace birkhoff::testing
