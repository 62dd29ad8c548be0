#include "kernels/identity.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void identity(const Args& a) {
  const Input x(a, Identity::x);
  const Output y(a, Identity::y);
  for (int64_t i = 0; i < a.count(Identity::x); ++i) y.set(i, x[i]);
}

}  // namespace birkhoff::reference
