#pragma once
// Shared by the tests of mhc and hc: an operator that opens a sublayer (mhc_open, hc_open) composed
// with mhc_close, since the gradient of the link is a convention between the two.
#include "kernels/mhc.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {

// Row i of t [T, …] as a tensor of one row.
inline Tensor row(const Tensor& t, int64_t i) {
  TensorSpec spec = t.spec;
  const int64_t width = spec.count() / spec.shape[0];
  spec.shape[0] = 1;
  Tensor one(spec);
  for (int64_t e = 0; e < width; ++e) one.set(e, t.at(i * width + e));
  return one;
}

// L = Σ w⊙x' with F(h) = h ⊙ h. The outputs of `open` begin like mhc_open's: h, link, post, res.
struct ResidualPair {
  const Operator& open;
  Desc desc;
  StreamsDesc streams;
  Tensor weights;

  std::vector<Tensor> close_inputs(const std::vector<Tensor>& opened) const {
    Tensor f = opened[MhcOpen::h];
    for (int64_t e = 0; e < f.spec.count(); ++e) f.set(e, f.at(e) * f.at(e));
    return {opened[MhcOpen::link], f, opened[MhcOpen::post], opened[MhcOpen::res]};
  }
  double loss(const std::vector<Tensor>& in) const {
    const auto y = run(kMhcClose, close_inputs(run(open, in, desc)), streams);
    double sum = 0;
    for (int64_t e = 0; e < y[0].spec.count(); ++e) sum += weights.at(e) * y[0].at(e);
    return sum;
  }
  std::vector<Tensor> gradient(const std::vector<Tensor>& in) const {
    const auto opened = run(open, in, desc);
    const auto d = gradients(kMhcClose, close_inputs(opened), streams, {weights});
    Tensor dh = d[MhcClose::f];
    for (int64_t e = 0; e < dh.spec.count(); ++e)
      dh.set(e, 2 * opened[MhcOpen::h].at(e) * dh.at(e));
    // res has no gradient of its own, since the link's gradient stands for it; saved values have
    // none either.
    std::vector<Tensor> dy = {dh, d[MhcClose::link], d[MhcClose::post]};
    dy.resize(opened.size());
    return gradients(open, in, desc, dy);
  }
};

// Checks the pair's gradients against central differences. `in` is f64 and starts with x [T, n·C].
inline void check_pair(const Operator& open, std::vector<Tensor> in, const Desc& desc, int n,
                       const std::string& what) {
  const ResidualPair pair{open, desc, {.n = n}, random_tensor(in[0].spec, "w")};
  const auto rule = pair.gradient(in);
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].bytes.empty()) continue;  // absent
    Tensor want = rule[i];
    double scale = 1e-3;
    for (int64_t e = 0; e < want.spec.count(); ++e) {
      const double x = in[i].at(e), h = 1e-5;
      in[i].set(e, x + h);
      const double above = pair.loss(in);
      in[i].set(e, x - h);
      want.set(e, (above - pair.loss(in)) / (2 * h));
      in[i].set(e, x);
      scale = std::max(scale, std::abs(want.at(e)));
    }
    // The differences are off by h² times third derivatives of order 10, and by 1e-16·L/h of
    // rounding.
    expect_close(rule[i], want, 1e-7 * scale, fmt::format("{} input {}", what, i));
  }
}

}  // namespace birkhoff::testing
