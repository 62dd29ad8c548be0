#include "kernels/mhc.h"

#include "engine/nn/residuals.h"

namespace birkhoff {

Opened MhcResidual::open(Value x, const std::string& name, int64_t sublayer) const {
  Program& p = *x.program;
  const int64_t n = config_.streams, k = n * n + 2 * n;
  const Value phi = p.parameter({.name = name + ".phi",
                                 .shape = {n * config_.dim, k},
                                 .decay = Decay::phi,
                                 .init = {Init::Rule::constant, 0},
                                 .reduced_over = kDp | kTp});
  const Value a = alpha(p, name);
  // b_post = 0 makes H_post = 1; b_res = 6I − 3 (PaddleFleet's appendix A.6).
  const Value b = bias(p, name, sublayer,
                       {.pre_own = 3, .pre_other = -3, .post = 0, .res_own = 3, .res_other = -3});
  const MhcDesc desc{
      .n = int(n),
      .eps = config_.norm_eps,
      .iterations = int(config_.sinkhorn_iterations),
      .sinkhorn = config_.sinkhorn == SinkhornKind::v4 ? SinkhornForm::v4 : SinkhornForm::paper};
  const auto out = p.emit(kMhcOpen, {x, phi, a, b}, desc);
  return {.h = out[MhcOpen::h],
          .link = out[MhcOpen::link],
          .post = out[MhcOpen::post],
          .res = out[MhcOpen::res]};
}

}  // namespace birkhoff
