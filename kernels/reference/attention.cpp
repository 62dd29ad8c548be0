#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

// Softmax of one query's scores; returns their log-sum-exp.
double softmax(std::vector<double>& scores) {
  double top = scores[0], sum = 0;
  for (const double s : scores) top = std::max(top, s);
  for (const double s : scores) sum += std::exp(s - top);
  for (double& s : scores) s = std::exp(s - top) / sum;
  return top + std::log(sum);
}

double inner(const Input& a, int64_t at_a, const Input& b, int64_t at_b, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += a[at_a + i] * b[at_b + i];
  return sum;
}

}  // namespace

void attention(const Args& a) {
  using A = Attention;
  const Input q(a, A::q), k(a, A::k), v(a, A::v), first_key(a, A::first_key);
  const Output o(a, A::o), lse(a, A::lse);
  const auto& d = a.desc<A::Desc>();
  const int64_t tokens = a.dim(A::q, 0), width = a.dim(A::q, 1) / d.heads;
  const int64_t value = a.dim(A::v, 1) / d.heads;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < d.heads; ++h) {
      const auto first = int64_t(first_key[t]);
      std::vector<double> p;
      for (int64_t j = first; j <= t; ++j)
        p.push_back(d.scale *
                    inner(q, (t * d.heads + h) * width, k, (j * d.heads + h) * width, width));
      lse.set(t * d.heads + h, softmax(p));
      for (int64_t i = 0; i < value; ++i) {
        double sum = 0;
        for (int64_t j = first; j <= t; ++j) sum += p[j - first] * v[(j * d.heads + h) * value + i];
        o.set((t * d.heads + h) * value + i, sum);
      }
    }
}

void attention_backward(const Args& a) {
  using B = AttentionBackward;
  const Input d_o(a, B::d_o), q(a, B::q), k(a, B::k), v(a, B::v), first_key(a, B::first_key);
  const Input o(a, B::o), lse(a, B::lse);
  const auto& d = a.desc<B::Desc>();
  const int64_t tokens = a.dim(B::q, 0), width = a.dim(B::q, 1) / d.heads;
  const int64_t value = a.dim(B::v, 1) / d.heads;
  std::vector<double> dq(a.count(B::q)), dk(a.count(B::k)), dv(a.count(B::v));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < d.heads; ++h) {
      const auto first = int64_t(first_key[t]);
      const int64_t query = (t * d.heads + h) * width, out = (t * d.heads + h) * value;
      const double delta = inner(d_o, out, o, out, value);
      for (int64_t j = first; j <= t; ++j) {
        const int64_t key = (j * d.heads + h) * width, values = (j * d.heads + h) * value;
        const double p = std::exp(d.scale * inner(q, query, k, key, width) - lse[t * d.heads + h]);
        const double ds = d.scale * p * (inner(d_o, out, v, values, value) - delta);
        for (int64_t i = 0; i < width; ++i) {
          dq[query + i] += ds * k[key + i];
          dk[key + i] += ds * q[query + i];
        }
        for (int64_t i = 0; i < value; ++i) dv[values + i] += p * d_o[out + i];
      }
    }
  const std::vector<double>* all[] = {&dq, &dk, &dv};
  for (int output = 0; output < 3; ++output)
    for (size_t i = 0; i < all[output]->size(); ++i)
      Output(a, output).set(int64_t(i), (*all[output])[i]);
}

}  // namespace birkhoff::reference
