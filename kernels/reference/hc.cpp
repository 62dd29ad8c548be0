#include "kernels/hc.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

// tanh(u) of one token (zeros if HC is static), and H~.
struct Coefficients {
  std::vector<double> tanh_u, value;

  template <class U>  // u(k)
  Coefficients(const Args& a, U u) {
    const HcDesc& desc = a.desc<HcDesc>();
    const Input alpha(a, HcOpen::alpha), b(a, HcOpen::b);
    const bool dynamic = a.has(HcOpen::theta);
    for (int64_t k = 0; k < desc.columns(); ++k) {
      tanh_u.push_back(dynamic ? std::tanh(u(k)) : 0);
      value.push_back(dynamic ? alpha[desc.group(k)] * tanh_u.back() + b[k] : b[k]);
    }
  }
};

}  // namespace

void hc_open(const Args& a) {
  using O = HcOpen;
  const Input x(a, O::x), theta(a, O::theta);
  const Output h(a, O::h), post(a, O::post), res(a, O::res);
  const HcDesc& desc = a.desc<HcDesc>();
  const int64_t n = desc.n, columns = desc.columns(), width = a.dim(O::x, 1) / n;
  for (int64_t t = 0; t < a.dim(O::x, 0); ++t) {
    std::vector<double> u(size_t(columns), 0.0);
    for (int64_t j = 0; a.has(O::theta) && j < n; ++j) {
      double squares = 0;
      for (int64_t c = 0; c < width; ++c)
        squares += x[(t * n + j) * width + c] * x[(t * n + j) * width + c];
      const double rstd = 1 / std::sqrt(squares / double(width) + desc.eps);
      for (int64_t r = 0; r < n + 2; ++r)
        for (int64_t c = 0; c < width; ++c)
          u[size_t(r * n + j)] += theta[r * width + c] * x[(t * n + j) * width + c] * rstd;
      Output(a, O::rstd).set(t * n + j, rstd);
    }
    const Coefficients of(a, [&](int64_t k) { return u[size_t(k)]; });
    for (int64_t k = 0; a.has(O::theta) && k < columns; ++k)
      Output(a, O::u).set(t * columns + k, u[size_t(k)]);
    for (int64_t i = 0; i < n; ++i) post.set(t * n + i, of.value[size_t(n + i)]);
    for (int64_t e = 0; e < n * n; ++e) res.set(t * n * n + e, of.value[size_t(2 * n + e)]);
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += of.value[size_t(j)] * x[(t * n + j) * width + c];
      h.set(t * width + c, sum);
    }
  }
}

namespace {

// Sums over the tokens.
struct Sums {
  std::vector<double> b, theta, alpha;
};

// What reaches x of token t through u; adds to dtheta and dalpha. d: gradient of H~.
std::vector<double> through_u(const Args& a, int64_t t, const Coefficients& of,
                              const std::vector<double>& d, Sums& sums) {
  using B = HcOpenBackward;
  const HcDesc& desc = a.desc<HcDesc>();
  const Input x(a, B::x), theta(a, B::theta), alpha(a, B::alpha), u(a, B::u), rstd(a, B::rstd);
  const int64_t n = desc.n, columns = desc.columns(), width = a.dim(B::x, 1) / n;
  std::vector<double> dx(size_t(n * width), 0.0);
  for (int64_t k = 0; k < columns; ++k) {
    const int64_t r = k / n, j = k % n;
    const double dk = d[size_t(k)], tanh_u = of.tanh_u[size_t(k)];
    const double du = alpha[desc.group(k)] * dk * (1 - tanh_u * tanh_u), s = rstd[t * n + j];
    sums.alpha[size_t(desc.group(k))] += dk * tanh_u;
    for (int64_t c = 0; c < width; ++c) {
      const double value = x[(t * n + j) * width + c];
      sums.theta[size_t(r * width + c)] += du * value * s;
      dx[size_t(j * width + c)] +=
          s * du * theta[r * width + c] - value * s * s / double(width) * du * u[t * columns + k];
    }
  }
  return dx;
}

}  // namespace

void hc_open_backward(const Args& a) {
  using B = HcOpenBackward;
  const Input x(a, B::x), u(a, B::u);
  const Output dx(a, B::dx), db(a, B::db);
  const auto given = [&](B::In i, int64_t e) { return a.has(i) ? Input(a, i)[e] : 0.0; };
  const HcDesc& desc = a.desc<HcDesc>();
  const int64_t n = desc.n, columns = desc.columns(), wide = a.dim(B::x, 1), width = wide / n;
  Sums sums{std::vector<double>(size_t(columns)), std::vector<double>(size_t((n + 2) * width)),
            std::vector<double>(3)};
  for (int64_t t = 0; t < a.dim(B::x, 0); ++t) {
    const Coefficients of(a, [&](int64_t k) { return u[t * columns + k]; });
    std::vector<double> d(size_t(columns), 0.0);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t c = 0; c < width; ++c)
        d[size_t(j)] += given(B::dh, t * width + c) * x[t * wide + j * width + c];
      d[size_t(n + j)] = given(B::dpost, t * n + j);
    }
    for (int64_t e = 0; e < n * n; ++e) {
      double sum = given(B::dres, t * n * n + e);
      for (int64_t c = 0; c < width; ++c)
        sum += given(B::dlink, t * wide + e / n * width + c) * x[t * wide + e % n * width + c];
      d[size_t(2 * n + e)] = sum;
    }
    for (int64_t k = 0; k < columns; ++k) sums.b[size_t(k)] += d[size_t(k)];
    const auto inner =
        a.has(B::theta) ? through_u(a, t, of, d, sums) : std::vector<double>(size_t(wide), 0.0);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t c = 0; c < width; ++c) {
        double sum = inner[size_t(j * width + c)];
        sum += of.value[size_t(j)] * given(B::dh, t * width + c);
        for (int64_t i = 0; i < n; ++i)
          sum += of.value[size_t(2 * n + i * n + j)] * given(B::dlink, t * wide + i * width + c);
        dx.set(t * wide + j * width + c, sum);
      }
  }
  for (int64_t k = 0; k < columns; ++k) db.set(k, sums.b[size_t(k)]);
  if (!a.has(B::theta)) return;
  for (int64_t e = 0; e < (n + 2) * width; ++e) Output(a, B::dtheta).set(e, sums.theta[size_t(e)]);
  for (int64_t g = 0; g < 3; ++g) Output(a, B::dalpha).set(g, sums.alpha[size_t(g)]);
}

}  // namespace birkhoff::reference
