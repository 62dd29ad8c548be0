#pragma once
// Bounds on how far apart two backends may be in mHC's coefficients, forward and backward.
#include "kernels/mhc.h"
#include "kernels/reference/sinkhorn.h"
#include "tests/cuda/cpu_agreement/rows.h"
#include "tests/cuda/mhc_case.h"

namespace birkhoff::testing {

// H_res of given logits, and its derivatives ∂M_e/∂L_l, found by one backward through the iteration
// for each entry.
class MixApart {
 public:
  MixApart(const MhcDesc& desc, const std::vector<double>& logits)
      : iterations_(desc.iterations), n_(desc.n) {
    reference::Sinkhorn sinkhorn(desc);
    values = sinkhorn.forward(logits);
    for (size_t e = 0; e < values.size(); ++e) {
      std::vector<double> unit(values.size(), 0.0);
      unit[e] = 1;
      derivatives.push_back(sinkhorn.backward(unit));
      largest_ = std::max(largest_, std::fabs(logits[e]));
    }
  }

  // Error from one backend's roundings. The exponential's error acts like one of the logit. Each of
  // 2·iterations divisions has a sum of n, a quotient and a product; later steps subtract means,
  // which at most doubles the error.
  double rounding(size_t e) const {
    const double steps = 2.0 * iterations_ * double(n_ + 4) * kUnit;
    return moved_by(e, gate_error(largest_)) + 2 * steps * values[e];
  }
  // For two backends whose logits are apart by `moved`; its square accounts for the second order.
  std::vector<double> of_two(const std::vector<double>& moved) const {
    const double most = *std::max_element(moved.begin(), moved.end());
    std::vector<double> apart;
    for (size_t e = 0; e < values.size(); ++e) {
      double first = 0;
      for (size_t l = 0; l < values.size(); ++l) first += std::fabs(derivatives[e][l]) * moved[l];
      apart.push_back(first + 8 * most * most * values[e] + 2 * rounding(e) + 1e-30);
    }
    return apart;
  }
  double largest_logit() const { return largest_; }

  std::vector<double> values;
  std::vector<std::vector<double>> derivatives;

 private:
  double moved_by(size_t e, double all) const {
    double sum = 0;
    for (const double derivative : derivatives[e]) sum += std::fabs(derivative) * all;
    return sum;
  }

  int iterations_, n_;
  double largest_ = 0;
};

// Inputs of the backward of a whole sublayer, both its opening and its closing.
struct MhcBackwardInputs {
  Tensor x, phi, alpha, b, u, rho, dh, dy, f, post;
};

// The gradients of a token's coefficients. dpre, dpost and dres are all dots, whichever pass of
// either backend computes them.
class MhcCoefficients {
 public:
  MhcCoefficients(const MhcCase& c, const MhcBackwardInputs& in, const Arithmetic& how, int64_t t)
      : c_(c), in_(in), how_(how), t_(t) {
    for (int64_t k = 0; k < c.columns(); ++k)
      logits_.push_back(in.alpha.at(c.desc().group(k)) * in.u.at(t * c.columns() + k) + in.b.at(k));
    of.d.resize(size_t(c.columns()));
    add_gates();
    add_mix();
    add_projected();
  }
  Coefficients of;

 private:
  void add_gates() {
    const int64_t n = c_.n;
    for (int64_t k = 0; k < 2 * n; ++k) {
      const bool is_pre = k < n;
      const int64_t i = t_ * n + k % n;
      const Uncertain g = is_pre ? dot_of(how_, in_.dh, t_, in_.x, i, c_.width)
                                 : dot_of(how_, in_.dy, i, in_.f, t_, c_.width);
      const double logit = logits_[size_t(k)], s = sigmoid(logit), factor = is_pre ? 1 : 2;
      // When 1 − σ is near 0, it is off by a rounding of the 1.
      of.d[size_t(k)] = {factor * g.value * s * (1 - s),
                         factor * (g.error * s * (1 - s) +
                                   std::fabs(g.value) * s * (gate_error(logit) + 4 * kUnit))};
      if (is_pre) of.pre.push_back({s + c_.desc().pre_eps(), (gate_error(logit) + kUnit) * s});
    }
  }
  // Each of 2·iterations steps, forward and backward, rounds an entry n + 4 times; a backward step
  // subtracts a mean and divides by a sum of about 1, so nothing exceeds the largest gradient.
  void add_mix() {
    const int64_t n = c_.n, wide = n * n;
    const MixApart mix(c_.desc(), {logits_.begin() + 2 * n, logits_.end()});
    std::vector<Uncertain> g;
    double largest = 0;
    for (int64_t e = 0; e < wide; ++e) {
      g.push_back(dot_of(how_, in_.dy, t_ * n + e / n, in_.x, t_ * n + e % n, c_.width));
      largest = std::max(largest, std::fabs(g.back().value));
      of.res.push_back({mix.values[size_t(e)], mix.rounding(size_t(e))});
    }
    const double steps =
        kUnit * (2.0 * c_.iterations * double(n + 4) + 4 * mix.largest_logit() + 5);
    for (int64_t l = 0; l < wide; ++l) {
      Uncertain& d = of.d[size_t(2 * n + l)];
      d.error = steps * largest;
      for (int64_t e = 0; e < wide; ++e) {
        const double derivative = mix.derivatives[size_t(e)][size_t(l)];
        d.value += g[size_t(e)].value * derivative;
        d.error += g[size_t(e)].error * std::fabs(derivative);
      }
    }
  }
  void add_projected() {
    const double rho = in_.rho.at(t_), scale = rho * rho / double(c_.n * c_.width);
    Uncertain pull;
    for (int64_t k = 0; k < c_.columns(); ++k) {
      const double alpha = in_.alpha.at(c_.desc().group(k)), u = in_.u.at(t_ * c_.columns() + k);
      const Uncertain& d = of.d[size_t(k)];
      const double du = alpha * d.value, error = std::fabs(alpha) * d.error;
      of.along.push_back({u, 0});
      of.dz.push_back({rho * du, rho * (error + 2 * kUnit * std::fabs(du))});
      pull.value -= scale * du * u;
      // Roundings of a sum of K terms and its factors.
      pull.error +=
          scale * std::fabs(u) * (error + double(c_.columns() + 6) * kHalf * std::fabs(du));
    }
    of.pull.assign(size_t(c_.n), pull);
    const std::vector<Uncertain> one = of.dz;
    for (int64_t j = 1; j < c_.n; ++j) of.dz.insert(of.dz.end(), one.begin(), one.end());
  }

  const MhcCase& c_;
  const MhcBackwardInputs& in_;
  const Arithmetic& how_;
  int64_t t_;
  std::vector<double> logits_;
};

}  // namespace birkhoff::testing
