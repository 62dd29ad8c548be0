#include "kernels/mhc.h"

#include <cmath>

#include "kernels/reference/sinkhorn.h"
#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The coefficients that follow from a token's u: σ of pre and post, and H_res.
struct Coefficients {
  std::vector<double> pre, half_post, res;
  Sinkhorn sinkhorn;

  template <class U>  // u(k)
  Coefficients(const MhcDesc& desc, const Input& alpha, const Input& b, U u) : sinkhorn(desc) {
    std::vector<double> logits;
    for (int64_t k = 0; k < desc.columns(); ++k) {
      const double logit = alpha[desc.group(k)] * u(k) + b[k];
      (desc.group(k) == 0   ? pre
       : desc.group(k) == 1 ? half_post
                            : logits)
          .push_back(desc.group(k) < 2 ? sigmoid(logit) : logit);
    }
    res = sinkhorn.forward(logits);
  }
};

}  // namespace

void mhc_open(const Args& a) {
  using O = MhcOpen;
  const Input x(a, O::x), phi(a, O::phi), alpha(a, O::alpha), b(a, O::b);
  const Output h(a, O::h), post(a, O::post), res(a, O::res), u_out(a, O::u), rho_out(a, O::rho);
  const MhcDesc& desc = a.desc<MhcDesc>();
  const int64_t n = desc.n, columns = desc.columns(), wide = a.dim(O::x, 1), width = wide / n;
  for (int64_t t = 0; t < a.dim(O::x, 0); ++t) {
    double squares = 0;
    for (int64_t e = 0; e < wide; ++e) squares += x[t * wide + e] * x[t * wide + e];
    const double rho = 1 / std::sqrt(squares / double(wide) + desc.eps);
    std::vector<double> u(size_t(columns), 0.0);
    for (int64_t e = 0; e < wide; ++e)
      for (int64_t k = 0; k < columns; ++k)
        u[size_t(k)] += rho * x[t * wide + e] * phi[e * columns + k];
    const Coefficients of(desc, alpha, b, [&](int64_t k) { return u[size_t(k)]; });
    rho_out.set(t, rho);
    for (int64_t k = 0; k < columns; ++k) u_out.set(t * columns + k, u[size_t(k)]);
    for (int64_t i = 0; i < n; ++i) post.set(t * n + i, 2 * of.half_post[size_t(i)]);
    for (int64_t e = 0; e < n * n; ++e) res.set(t * n * n + e, of.res[size_t(e)]);
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i)
        sum += (of.pre[size_t(i)] + desc.pre_eps()) * x[t * wide + i * width + c];
      h.set(t * width + c, sum);
    }
  }
}

namespace {

// One token of mhc_open_backward.
struct OpenToken {
  std::vector<double> pre, res, dz;  // [n], [n, n], [K]
  double ds = 0;                     // Gradient of Σv².
};

// `gradients` holds dpre, dpost and dres in the order of the columns. Adds to dalpha and db.
OpenToken open_token(const Args& a, int64_t t, std::vector<double> gradients,
                     std::vector<double>& dalpha, std::vector<double>& db) {
  using B = MhcOpenBackward;
  const Input alpha(a, B::alpha), b(a, B::b), u(a, B::u), rho(a, B::rho);
  const MhcDesc& desc = a.desc<MhcDesc>();
  const int64_t n = desc.n, columns = desc.columns();
  const Coefficients of(desc, alpha, b, [&](int64_t k) { return u[t * columns + k]; });
  std::vector<double> d = of.sinkhorn.backward({gradients.begin() + 2 * n, gradients.end()});
  d.insert(d.begin(), gradients.begin(), gradients.begin() + 2 * n);
  OpenToken token;
  token.res = of.res;
  for (size_t i = 0; i < size_t(n); ++i) {
    token.pre.push_back(of.pre[i] + desc.pre_eps());
    d[i] *= of.pre[i] * (1 - of.pre[i]);
    d[size_t(n) + i] *= 2 * of.half_post[i] * (1 - of.half_post[i]);
  }
  for (int64_t k = 0; k < columns; ++k) {
    const double dk = d[size_t(k)], uk = u[t * columns + k], du = alpha[desc.group(k)] * dk;
    dalpha[size_t(desc.group(k))] += dk * uk;
    db[size_t(k)] += dk;
    token.dz.push_back(rho[t] * du);
    token.ds -= 0.5 * du * uk * rho[t] * rho[t] / double(a.dim(B::x, 1));
  }
  return token;
}

}  // namespace

void mhc_open_backward(const Args& a) {
  using B = MhcOpenBackward;
  const Input x(a, B::x), phi(a, B::phi);
  const Output dx(a, B::dx), dphi_out(a, B::dphi), dalpha_out(a, B::dalpha), db_out(a, B::db);
  const auto given = [&](B::In i, int64_t e) { return a.has(i) ? Input(a, i)[e] : 0.0; };
  const MhcDesc& desc = a.desc<MhcDesc>();
  const int64_t n = desc.n, columns = desc.columns(), wide = a.dim(B::x, 1), width = wide / n;
  std::vector<double> dphi(size_t(wide * columns)), dalpha(3), db(size_t(columns), 0.0);
  for (int64_t t = 0; t < a.dim(B::x, 0); ++t) {
    std::vector<double> gradients(size_t(columns), 0.0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < width; ++c)
        gradients[size_t(i)] += given(B::dh, t * width + c) * x[t * wide + i * width + c];
      gradients[size_t(n + i)] = given(B::dpost, t * n + i);
    }
    for (int64_t e = 0; e < n * n; ++e) {
      double sum = given(B::dres, t * n * n + e);
      for (int64_t c = 0; c < width; ++c)
        sum += given(B::dlink, t * wide + e / n * width + c) * x[t * wide + e % n * width + c];
      gradients[size_t(2 * n + e)] = sum;
    }
    const OpenToken token = open_token(a, t, gradients, dalpha, db);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t e = j * width + c;
        double sum =
            token.pre[size_t(j)] * given(B::dh, t * width + c) + 2 * x[t * wide + e] * token.ds;
        for (int64_t i = 0; i < n; ++i)
          sum += token.res[size_t(i * n + j)] * given(B::dlink, t * wide + i * width + c);
        for (int64_t k = 0; k < columns; ++k) {
          sum += token.dz[size_t(k)] * phi[e * columns + k];
          dphi[size_t(e * columns + k)] += x[t * wide + e] * token.dz[size_t(k)];
        }
        dx.set(t * wide + e, sum);
      }
  }
  for (int64_t e = 0; e < wide * columns; ++e) dphi_out.set(e, dphi[size_t(e)]);
  for (int64_t g = 0; g < 3; ++g) dalpha_out.set(g, dalpha[size_t(g)]);
  for (int64_t k = 0; k < columns; ++k) db_out.set(k, db[size_t(k)]);
}

void mhc_close(const Args& a) {
  using O = MhcClose;
  const Input link(a, O::link), f(a, O::f), post(a, O::post), res(a, O::res);
  const Output y(a, O::y);
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(O::f, 1);
  for (int64_t t = 0; t < a.dim(O::f, 0); ++t)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < width; ++c) {
        double sum = post[t * n + i] * f[t * width + c];
        for (int64_t j = 0; j < n; ++j)
          sum += res[(t * n + i) * n + j] * link[(t * n + j) * width + c];
        y.set((t * n + i) * width + c, sum);
      }
}

void mhc_close_backward(const Args& a) {
  using B = MhcCloseBackward;
  const Input dy(a, B::dy), f(a, B::f), post(a, B::post);
  const Output df(a, B::df), dpost(a, B::dpost);
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(B::f, 1);
  for (int64_t t = 0; t < a.dim(B::f, 0); ++t) {
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += post[t * n + i] * dy[(t * n + i) * width + c];
      df.set(t * width + c, sum);
    }
    for (int64_t i = 0; i < n; ++i) {
      double with_f = 0;
      for (int64_t c = 0; c < width; ++c) with_f += dy[(t * n + i) * width + c] * f[t * width + c];
      dpost.set(t * n + i, with_f);
    }
  }
}

}  // namespace birkhoff::reference
