#include "kernels/balance.h"

namespace birkhoff::cpu {

void balance_update(const Args& a) {
  const int64_t experts = a.dim(BalanceUpdate::load, 0);
  const int32_t* load = a.in<int32_t>(BalanceUpdate::load);
  const float speed = float(a.desc<BalanceUpdate::Desc>().speed);
  float* bias = a.out<float>(BalanceUpdate::bias);
  int64_t total = 0;
  for (int64_t e = 0; e < experts; ++e) total += load[e];
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t lack = total - experts * load[e];
    bias[e] += lack > 0 ? speed : lack < 0 ? -speed : 0;
  }
}

}  // namespace birkhoff::cpu
