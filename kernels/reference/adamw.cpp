#include "kernels/adamw.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void adamw(const Args& a) {
  const Input g(a, AdamW::g), hyper(a, AdamW::hyper), scale(a, AdamW::scale);
  const Output p(a, AdamW::p), m(a, AdamW::m), v(a, AdamW::v);
  const auto& d = a.desc<AdamW::Desc>();
  if (!std::isfinite(scale[0])) return;
  const double lr = hyper[0], c1 = hyper[1], c2 = hyper[2];
  for (int64_t i = 0; i < a.count(AdamW::g); ++i) {
    const double grad = scale[0] * g[i], p0 = p.base(i), m0 = m.base(i), v0 = v.base(i);
    const double m1 = d.beta1 * m0 + (1 - d.beta1) * grad;
    const double v1 = d.beta2 * v0 + (1 - d.beta2) * grad * grad;
    const double step = m1 * c1 / (std::sqrt(v1 * c2) + d.eps);
    p.set(i, -lr * (step + d.weight_decay * p0));
    m.set(i, m1 - m0);
    v.set(i, v1 - v0);
  }
}

}  // namespace birkhoff::reference
