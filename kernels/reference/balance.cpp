#include "kernels/balance.h"

#include <cmath>

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

// Counts are whole numbers below 2^53, so rounding the mean never moves it past a count.
void balance_update(const Args& a) {
  const Input load(a, BalanceUpdate::load), scale(a, BalanceUpdate::scale);
  const Output bias(a, BalanceUpdate::bias);
  const int64_t experts = a.dim(BalanceUpdate::load, 0);
  if (!std::isfinite(scale[0])) return;
  double mean = 0;
  for (int64_t e = 0; e < experts; ++e) mean += load[e];
  mean /= double(experts);
  const double speed = a.desc<BalanceUpdate::Desc>().speed;
  for (int64_t e = 0; e < experts; ++e)
    bias.set(e, load[e] < mean ? speed : load[e] > mean ? -speed : 0);
}

}  // namespace birkhoff::reference
