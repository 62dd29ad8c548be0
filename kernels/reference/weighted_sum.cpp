#include "kernels/weighted_sum.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void weighted_sum(const Args& a) {
  const Input value(a, WeightedSum::value), scale(a, WeightedSum::scale);
  const Output y(a, WeightedSum::y);
  double sum = 0;
  for (int64_t t = 0; t < a.dim(WeightedSum::value, 0); ++t) sum += value[t];
  y.set(0, scale[0] * sum);
}

void broadcast_scale(const Args& a) {
  const Input dy(a, BroadcastScale::dy), scale(a, BroadcastScale::scale);
  const Output dvalue(a, BroadcastScale::dvalue);
  for (int64_t t = 0; t < a.dim(BroadcastScale::value, 0); ++t) dvalue.set(t, dy[0] * scale[0]);
}

}  // namespace birkhoff::reference
