#pragma once
// Expected results of mHC's backward, in fp64, with bounds on the errors of f32 and tensor cores.
#include <algorithm>
#include <cmath>

#include "kernels/reference/sinkhorn.h"
#include "tests/cuda/mhc_case.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/dres.h"

namespace birkhoff::reference {
void mhc_open_backward(const Args& args);
void mhc_close_backward(const Args& args);
}  // namespace birkhoff::reference

namespace birkhoff::testing {

// Inputs in the order of MhcOpenBackward::In. They are generic: u of about 1, gradients of post and
// res as large as sums over C channels.
inline Tensors open_backward_inputs(const MhcCase& c) {
  const int64_t t = c.tokens, n = c.n, wide = n * c.width, k = c.columns();
  const double root = std::sqrt(double(c.width));
  Tensors all = {random_tensor(bf16s({t, wide}), "x"),
                 random_tensor(f32s({wide, k}), "phi", 1 / std::sqrt(double(wide))),
                 random_tensor(f32s({3}), "alpha", 0.3, 1),
                 random_tensor(f32s({k}), "b", c.b_scale)};
  const Tensors out = reference_open(c, all);
  all.push_back(out[MhcOpen::u].as(DType::f32));
  all.push_back(out[MhcOpen::rho].as(DType::f32));
  all.push_back(random_tensor(bf16s({t, c.width}), "dh"));
  all.push_back(random_tensor(bf16s({t, wide}), "dlink"));
  all.push_back(random_tensor(f32s({t, n}), "dpost", root));
  all.push_back(c.two_passes ? link_products(c, all[MhcOpenBackward::dlink], all[0])
                             : random_tensor(f32s({t, n * n}), "dres", root));
  return all;
}

constexpr double kTf32 = 2 * 0x1p-11;  // error of a product of two tf32 factors
constexpr double kHalves = 0x1p-16;    // error of an f32 split into two bf16
constexpr double kOneHalf = 0x1p-8;    // error of an f32 rounded to one bf16

struct Gradient {
  double value, error;
};

// The gradients of pre, post and res of token t.
inline std::vector<Gradient> given(const MhcCase& c, const Tensors& in, int64_t t) {
  using B = MhcOpenBackward;
  const int64_t n = c.n;
  // Roundings of a sum over channels: those in a lane, then five shuffles. By clusters: 8 in a
  // lane, two shuffles, and the warps of 8 blocks, which have 16 or 32 channels each.
  const double rounding =
      kHalf * (c.two_passes ? 10 + double(c.width) / 16 + 8 : double(c.width) / 32 + 14);
  const auto size_of_sum = [&](const Tensor& rows, int64_t row, int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < c.width; ++k)
      sum += std::fabs(rows.at(row * c.width + k) * in[B::x].at((t * n + j) * c.width + k));
    return sum;
  };
  std::vector<Gradient> all;
  for (int64_t i = 0; i < n; ++i)
    all.push_back({dot_of(in[B::dh], t, in[B::x], t * n + i, c.width),
                   rounding * size_of_sum(in[B::dh], t, i)});
  for (int64_t i = 0; i < n; ++i) all.push_back({in[B::dpost].at(t * n + i), 0});
  for (int64_t e = 0; e < n * n; ++e)
    all.push_back({in[B::dres].at(t * n * n + e),
                   c.two_passes ? rounding * size_of_sum(in[B::dlink], t * n + e / n, e % n) : 0});
  return all;
}

// A token's coefficients and gradients, with bounds on their errors.
struct MhcToken {
  std::vector<double> d, dz, d_error, dz_error;  // gradients of H~ and z [K]
  std::vector<double> pre, res;
  double pull = 0, pull_error = 0, res_error = 0;

  MhcToken(const MhcCase& c, const Tensors& in, int64_t t) {
    using B = MhcOpenBackward;
    const MhcDesc desc = c.desc();
    const int64_t n = c.n, columns = c.columns();
    std::vector<double> gradients, errors, gate, logits;
    double largest = 0, largest_logit = 0;
    for (const Gradient& g : given(c, in, t))
      gradients.push_back(g.value), errors.push_back(g.error);
    for (int64_t k = 0; k < columns; ++k) {
      const double alpha = in[B::alpha].at(desc.group(k)), u = in[B::u].at(t * columns + k);
      const double logit = alpha * u + in[B::b].at(k);
      largest_logit = std::max(largest_logit, std::fabs(logit));
      k < 2 * n ? gate.push_back(1 / (1 + std::exp(-logit))) : logits.push_back(logit);
      largest = std::max(largest, std::fabs(gradients[size_t(k)]));
    }
    const double largest_error = *std::max_element(errors.begin() + 2 * n, errors.end());
    reference::Sinkhorn sinkhorn(desc);
    res = sinkhorn.forward(logits);
    d = sinkhorn.backward({gradients.begin() + 2 * n, gradients.end()});
    d.insert(d.begin(), gradients.begin(), gradients.begin() + 2 * n);
    // Each of 2·iterations steps, forward and backward, rounds an entry about n + 4 times. A
    // backward step subtracts a mean and divides by a sum of about 1, so nothing grows beyond the
    // largest gradient. A relative error of a logit is multiplied by the logit in the entry.
    const double steps = kHalf * (2.0 * desc.iterations * double(n + 4) + 4 * largest_logit);
    res_error = steps;
    for (int64_t k = 0; k < columns; ++k) {
      const double alpha = in[B::alpha].at(desc.group(k)), u = in[B::u].at(t * columns + k);
      if (k < 2 * n) {
        const double g = gate[size_t(k)];
        d[size_t(k)] *= (k < n ? 1 : 2) * g * (1 - g);
        if (k < n) pre.push_back(g + desc.pre_eps());
      }
      // Through Sinkhorn, an entry's error is at most twice the largest one that it is given, as
      // rows and columns have sums of about 1 in the backward too.
      const double given = k < 2 * n ? errors[size_t(k)] : 2 * largest_error;
      d_error.push_back(steps * largest + given);
      const double du = alpha * d[size_t(k)], rho = in[B::rho].at(t);
      dz.push_back(rho * du);
      dz_error.push_back(rho * (std::fabs(alpha) * d_error[size_t(k)] + 4 * kHalf * std::fabs(du)));
      const double scale = rho * rho / double(n * c.width);
      pull -= scale * du * u;
      pull_error += scale * std::fabs(u) *
                    (std::fabs(alpha) * d_error[size_t(k)] + 12 * kHalf * std::fabs(du));
    }
  }
};

// Expected results in the order of MhcOpenBackward::Out; dphi, dalpha and db without a base.
inline std::vector<Bounded> open_backward_oracle(const MhcCase& c, const Tensors& in) {
  using B = MhcOpenBackward;
  const int64_t n = c.n, wide = n * c.width, columns = c.columns();
  const Tensors values =
      reference_of(reference::mhc_open_backward, with_dres_beside_link<B>(c, in),
                   {{c.tokens, wide}, {wide, columns}, {3}, {columns}}, c.desc());
  std::vector<Bounded> all;
  for (const Tensor& value : values) all.push_back({value, value});
  std::vector<double> dphi(size_t(wide * columns)), dalpha(3), db(size_t(columns), 0.0);
  const double sums = kHalf * double(c.tokens + 40);
  for (int64_t t = 0; t < c.tokens; ++t) {
    const MhcToken token(c, in, t);
    for (int64_t k = 0; k < columns; ++k) {
      const double d = std::fabs(token.d[size_t(k)]), u = std::fabs(in[B::u].at(t * columns + k));
      db[size_t(k)] += token.d_error[size_t(k)] + sums * d;
      dalpha[size_t(c.desc().group(k))] += u * (token.d_error[size_t(k)] + sums * d);
    }
    for (int64_t e = 0; e < wide; ++e) {
      const int64_t j = e / c.width, channel = e % c.width;
      const double x = std::fabs(in[B::x].at(t * wide + e)),
                   dh = std::fabs(in[B::dh].at(t * c.width + channel));
      double terms = std::fabs(token.pull) * x + token.pre[size_t(j)] * dh;
      double error = token.pull_error * x + 8 * kHalf * token.pre[size_t(j)] * dh;
      for (int64_t i = 0; i < n; ++i) {
        const double dlink = std::fabs(in[B::dlink].at(t * wide + i * c.width + channel));
        terms += token.res[size_t(i * n + j)] * dlink, error += token.res_error * dlink;
      }
      for (int64_t k = 0; k < columns; ++k) {
        const double dz = std::fabs(token.dz[size_t(k)]), dz_error = token.dz_error[size_t(k)];
        const double phi = std::fabs(in[B::phi].at(e * columns + k));
        terms += dz * phi,
            error += ((c.two_passes ? kOneHalf + kHalves : kTf32) * dz + dz_error) * phi;
        dphi[size_t(e * columns + k)] += x * ((kHalves + sums) * dz + dz_error);
      }
      error += kHalf * double(columns + n + 4) * terms;
      all[B::dx].bound.set(t * wide + e,
                           error + kStored * (error + std::fabs(values[B::dx].at(t * wide + e))));
    }
  }
  all[B::dphi].bound = Tensor(values[B::dphi].spec, dphi);
  all[B::dalpha].bound = Tensor(values[B::dalpha].spec, dalpha);
  all[B::db].bound = Tensor(values[B::db].spec, db);
  return all;
}

}  // namespace birkhoff::testing
