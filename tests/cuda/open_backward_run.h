#pragma once
// A call of mhc_open_backward, in three passes or by clusters, and its expected results.
#include <cmath>
#include <optional>

#include "kernels/cuda/mhc_passes.h"
#include "tests/cuda/mhc_backward_oracle.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {

inline const char* const kOutputs[] = {"dx", "dphi", "dalpha", "db"};
// Bounds in norm. dx: roundings to bf16, uniform over ± half an ulp, so 2^-8/√3 if all significands
// are small (measured: 1.5e-3 to 1.8e-3; in two passes up to 1.85e-3). dphi: the error of dz as two
// bf16 (measured: 2e-6 to 4e-6; with tf32 2e-4, with one bf16 1.7e-3). Sums: some roundings of f32
// (measured: 3e-8 to 8e-7, and 2.6e-6 at logits of 100, each accurate to 100·2^-24).
inline constexpr double kRoundings = 0x1p-20;
inline double norm_bound(const MhcCase& c, int output) {
  using B = MhcOpenBackward;
  return output == B::dx     ? kStored / std::sqrt(3)
         : output == B::dphi ? kHalves
                             : c.b_scale * kRoundings;
}

struct OpenBackwardRun {
  using B = MhcOpenBackward;
  bool two_passes;
  cuda::MhcOpenBackwardCut cut;
  Tensors bases;  // for dphi, dalpha and db
  OnDevice<bf16> x, dh, dlink, dx;
  OnDevice<float> phi, alpha, b, u, rho, dpost, dres, dphi, dalpha, db;
  DeviceArray<float> workspace;
  cuda::MhcOpenBackwardArgs args;

  OpenBackwardRun(const MhcCase& c, const Tensors& in)
      : two_passes(c.two_passes),
        cut(cut_of(c)),
        bases{random_tensor(in[B::phi].spec, "dphi base"),
              random_tensor(in[B::alpha].spec, "dalpha base"),
              random_tensor(in[B::b].spec, "db base")},
        x(in[B::x]),
        dh(in[B::dh]),
        dlink(in[B::dlink]),
        dx(in[B::x].spec),
        phi(in[B::phi]),
        alpha(in[B::alpha]),
        b(in[B::b]),
        u(in[B::u]),
        rho(in[B::rho]),
        dpost(in[B::dpost]),
        dres(in[B::dres].as(DType::f32)),
        dphi(bases[0]),
        dalpha(bases[1]),
        db(bases[2]),
        workspace(size_t(cut.workspace)),
        args{.x = x.data(),
             .dh = dh.data(),
             .dlink = dlink.data(),
             .phi = phi.data(),
             .alpha = alpha.data(),
             .b = b.data(),
             .u = u.data(),
             .rho = rho.data(),
             .dpost = dpost.data(),
             .dres = c.two_passes ? nullptr : dres.data(),
             .dphi_base = c.base ? dphi.data() : nullptr,
             .dalpha_base = c.base ? dalpha.data() : nullptr,
             .db_base = c.base ? db.data() : nullptr,
             .dx = dx.data(),
             .dphi = dphi.data(),
             .dalpha = dalpha.data(),
             .db = db.data(),
             .workspace = workspace.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n,
             .sinkhorn = {.v4 = c.form == SinkhornForm::v4, .iterations = c.iterations}} {}
  static cuda::MhcOpenBackwardCut cut_of(const MhcCase& c) {
    const cuda::MhcOpenBackwardArgs sizes{.tokens = c.tokens, .width = c.width, .n = c.n};
    return c.two_passes ? cuda::mhc_open_backward_cluster_cut(sizes)
                        : cuda::mhc_open_backward_cut(sizes);
  }
  void operator()() const {
    two_passes ? cuda::mhc_open_backward_cluster(args, nullptr)
               : cuda::mhc_open_backward(args, nullptr);
  }
  // Results in the order of MhcOpenBackward::Out.
  Tensors results() const { return {dx.tensor(), dphi.tensor(), dalpha.tensor(), db.tensor()}; }
};

using InSchedules = void (*)(const std::function<void()>&);

inline void expect_open_backward(const MhcCase& c, InSchedules in_schedules = in_every_schedule) {
  SCOPED_TRACE(c.name());
  const Tensors in = open_backward_inputs(c);
  const std::vector<Bounded> want = open_backward_oracle(c, in);
  std::optional<Tensors> first;
  in_schedules([&] {
    if (c.two_passes && capability() < 90) GTEST_SKIP() << "needs sm_90";
    const OpenBackwardRun run(c, in);
    run();
    const Tensors got = run.results(), bases = run.bases;
    for (size_t k = 0; k < got.size(); ++k) {
      expect_within(got[k], want[k], kOutputs[k], norm_bound(c, int(k)),
                    c.base && k > 0 ? &bases[k - 1] : nullptr);
      EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << kOutputs[k] << ": other bits";
    }
    if (!first) first = got;
  });
}

}  // namespace birkhoff::testing
