#pragma once
// The CUDA backward passes take the whole of dres as input; the operators add the link's part
// themselves (kernels/mhc.h, kernels/hc.h).
#include "tests/cuda/support/bounded.h"

namespace birkhoff::testing {

// The dot product of row i of a and row j of b, rows of length `width`.
inline double dot_of(const Tensor& a, int64_t i, const Tensor& b, int64_t j, int64_t width) {
  double sum = 0;
  for (int64_t c = 0; c < width; ++c) sum += a.at(i * width + c) * b.at(j * width + c);
  return sum;
}

// <dlink_i, x_j> of each token.
template <class Case>
Tensor link_products(const Case& c, const Tensor& dlink, const Tensor& x) {
  const int64_t n = c.n;
  Tensor all(TensorSpec{{c.tokens, n * n}, DType::f64});
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t e = 0; e < n * n; ++e)
      all.set(t * n * n + e, dot_of(dlink, t * n + e / n, x, t * n + e % n, c.width));
  return all;
}

// The operator's inputs for which it uses the same dres as the passes: dres minus <dlink_i, x_j>.
// B: the operator, for the order of its inputs.
template <class B, class Case>
Tensors with_dres_beside_link(const Case& c, const Tensors& in) {
  Tensors all = in;
  all[B::dres] = in[B::dres].as(DType::f64);
  const Tensor of_link = link_products(c, in[B::dlink], in[B::x]);
  for (int64_t i = 0; i < of_link.spec.count(); ++i)
    all[B::dres].set(i, in[B::dres].at(i) - of_link.at(i));
  return all;
}

}  // namespace birkhoff::testing
