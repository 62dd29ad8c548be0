#include "kernels/hc.h"

#include "engine/nn/residuals.h"

namespace birkhoff {

// At the start H_pre reads one residual stream, H_post = 1 and H_res = I: exactly the plain
// residual network (arXiv 2409.19606 §2.3). The paper's scaling of output weights by √n is left
// out, since it would break that equality.
Opened HcResidual::open(Value x, const std::string& name, int64_t sublayer) const {
  Program& p = *x.program;
  const int64_t n = config_.streams;
  Value theta, a;  // static: absent
  if (config_.hc == HcKind::dynamic) {
    const Init zero{Init::Rule::constant, 0};
    theta = p.parameter({.name = name + ".theta",
                         .shape = {n + 2, config_.dim},
                         .decay = Decay::phi,
                         .parts = {{name + ".theta_pre", {config_.dim}, zero},
                                   {name + ".theta_post", {config_.dim}, zero},
                                   {name + ".theta_res", {n, config_.dim}, zero}},
                         .reduced_over = kDp | kTp});
    a = alpha(p, name);
  }
  const Value b = bias(p, name, sublayer,
                       {.pre_own = 1, .pre_other = 0, .post = 1, .res_own = 1, .res_other = 0});
  const auto out = p.emit(kHcOpen, {x, theta, a, b}, HcDesc{.n = int(n), .eps = config_.norm_eps});
  return {.h = out[HcOpen::h],
          .link = out[HcOpen::link],
          .post = out[HcOpen::post],
          .res = out[HcOpen::res]};
}

}  // namespace birkhoff
