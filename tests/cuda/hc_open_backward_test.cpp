#include <cmath>
#include <optional>

#include "base/error.h"
#include "kernels/cuda/hc_backward.h"
#include "tests/cuda/hc_case.h"
#include "tests/cuda/support/dres.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void hc_open(const Args& args);
void hc_open_backward(const Args& args);
}  // namespace birkhoff::reference

namespace birkhoff::testing {
namespace {

using B = HcOpenBackward;
const char* const kNames[] = {"dx", "db", "dtheta", "dalpha"};

// Inputs in the order of HcOpenBackward::In. They are generic: u of about 1, gradients of post and
// res as large as sums over C channels.
Tensors inputs_of(const HcCase& c) {
  const int64_t t = c.tokens, n = c.n, wide = n * c.width, k = c.columns();
  const double root = std::sqrt(double(c.width));
  Tensors all = {c.x(), c.theta(), c.alpha(), c.b()};
  const Tensors out =
      reference_of(reference::hc_open, all,
                   {{t, c.width}, {t, wide}, {t, n}, {t, n * n}, {t, k}, {t, n}}, c.desc());
  all.push_back(c.dynamic ? out[HcOpen::u].as(DType::f32) : Tensor());
  all.push_back(c.dynamic ? out[HcOpen::rstd].as(DType::f32) : Tensor());
  all.push_back(random_tensor(bf16s({t, c.width}), "dh"));
  all.push_back(random_tensor(bf16s({t, wide}), "dlink"));
  all.push_back(random_tensor(f32s({t, n}), "dpost", root));
  all.push_back(random_tensor(f32s({t, n * n}), "dres", root));
  return all;
}

// A token's coefficients and gradients, with bounds on the device's errors.
struct HcToken {
  std::vector<double> value, value_error;  // H~ [K]
  std::vector<double> d, d_error;          // gradient of H~
  std::vector<double> bounded, dz, dz_error;
  std::vector<double> pull, pull_error;  // [n]

  HcToken(const HcCase& c, const Tensors& in, int64_t t)
      : pull(size_t(c.n), 0.0), pull_error(size_t(c.n), 0.0) {
    for (int64_t k = 0; k < c.columns(); ++k) add_column(c, in, t, k);
  }

  void add_column(const HcCase& c, const Tensors& in, int64_t t, int64_t k) {
    const int64_t n = c.n, j = k % n;
    double gradient = 0, error = 0;
    if (k < n) {
      for (int64_t e = 0; e < c.width; ++e) {
        const double term = in[B::dh].at(t * c.width + e) * in[B::x].at((t * n + k) * c.width + e);
        gradient += term, error += std::fabs(term);
      }
      error *= kHalf * (double(c.width) / 32 + 14);  // sums in a lane, then five shuffles
    } else {
      gradient = k < 2 * n ? in[B::dpost].at(t * n + k - n) : in[B::dres].at(t * n * n + k - 2 * n);
    }
    d.push_back(gradient), d_error.push_back(error);
    const double alpha = c.dynamic ? in[B::alpha].at(c.desc().group(k)) : 0;
    const double u = c.dynamic ? in[B::u].at(t * c.columns() + k) : 0;
    const double norm = c.dynamic ? in[B::rstd].at(t * n + j) : 0;
    // tanhf, at most 1, is accurate to 2 ulp, and so is its square; 1 − tanh² rounds once more.
    const double th = std::tanh(u), slope = 1 - th * th, ulps = 4 * kHalf;
    bounded.push_back(th);
    value.push_back(alpha * th + in[B::b].at(k));
    value_error.push_back(std::fabs(alpha) * ulps + kHalf * std::fabs(value.back()));
    const double du = alpha * gradient * slope;
    const double du_error = std::fabs(alpha) * (error * slope + std::fabs(gradient) * 3 * ulps) +
                            3 * kHalf * std::fabs(du);
    dz.push_back(norm * du);
    dz_error.push_back(norm * (du_error + kHalf * std::fabs(du)));
    const double scale = norm * norm / double(c.width);
    pull[size_t(j)] -= scale * du * u;
    pull_error[size_t(j)] += scale * std::fabs(u) * (du_error + 12 * kHalf * std::fabs(du));
  }
};

// Sets the bounds on a token's dx, and adds the token's share to those on dtheta.
void bound_rows(const HcCase& c, const Tensors& in, const HcToken& token, int64_t t,
                std::vector<Bounded>& all) {
  constexpr double kTf32 = 2 * 0x1p-11;  // error of a product of two tf32 factors
  constexpr double kHalves = 0x1p-16;    // error of an f32 split into two bf16
  const int64_t n = c.n, wide = n * c.width;
  const double sums = kHalf * double(n * (c.tokens + 40));
  for (int64_t e = 0; e < wide; ++e) {
    const int64_t j = e / c.width, channel = e % c.width, at = t * wide + e;
    const double x = std::fabs(in[B::x].at(at)),
                 dh = std::fabs(in[B::dh].at(t * c.width + channel));
    double terms = std::fabs(token.pull[size_t(j)]) * x + std::fabs(token.value[size_t(j)]) * dh;
    double error = token.pull_error[size_t(j)] * x + token.value_error[size_t(j)] * dh;
    for (int64_t i = 0; i < n; ++i) {
      const double dlink = std::fabs(in[B::dlink].at(t * wide + i * c.width + channel));
      const auto k = size_t(2 * n + i * n + j);
      terms += std::fabs(token.value[k]) * dlink, error += token.value_error[k] * dlink;
    }
    for (int64_t r = 0; c.dynamic && r < n + 2; ++r) {
      const auto k = size_t(r * n + j);
      const double dz = std::fabs(token.dz[k]);
      const double theta = std::fabs(in[B::theta].at(r * c.width + channel));
      terms += dz * theta, error += (kTf32 * dz + token.dz_error[k]) * theta;
      Tensor& bound = all[B::dtheta].bound;
      const int64_t weight = r * c.width + channel;
      bound.set(weight, bound.at(weight) + x * ((kHalves + sums) * dz + token.dz_error[k]));
    }
    error += kHalf * double(2 * n + 6) * terms;
    all[B::dx].bound.set(at, error + kStored * (error + std::fabs(all[B::dx].value.at(at))));
  }
}

// Expected results in the order of HcOpenBackward::Out; db, dtheta and dalpha without a base.
std::vector<Bounded> oracle(const HcCase& c, const Tensors& in) {
  const int64_t n = c.n, columns = c.columns();
  const Tensors values =
      reference_of(reference::hc_open_backward, with_dres_beside_link<B>(c, in),
                   {{c.tokens, n * c.width}, {columns}, {n + 2, c.width}, {3}}, c.desc());
  std::vector<Bounded> all;
  for (const Tensor& value : values)
    all.push_back(
        {value, Tensor(value.spec, std::vector<double>(size_t(value.spec.count()), 0.0))});
  const double sums = kHalf * double(c.tokens + 40);
  for (int64_t t = 0; t < c.tokens; ++t) {
    const HcToken token(c, in, t);
    for (int64_t k = 0; k < columns; ++k) {
      const double error = token.d_error[size_t(k)] + sums * std::fabs(token.d[size_t(k)]);
      Tensor &db = all[B::db].bound, &dalpha = all[B::dalpha].bound;
      const int64_t g = c.desc().group(k);
      db.set(k, db.at(k) + error);
      dalpha.set(g, dalpha.at(g) + error + 4 * kHalf * std::fabs(token.d[size_t(k)]));
    }
    bound_rows(c, in, token, t, all);
  }
  return all;
}

struct HcOpenBackwardRun {
  HcCase c;
  cuda::MhcOpenBackwardCut cut;
  Tensors bases;  // for db, dtheta and dalpha
  OnDevice<bf16> x, dh, dlink, dx;
  OnDevice<float> theta, alpha, b, u, stream_rstd, dpost, dres, db, dtheta, dalpha;
  DeviceArray<float> workspace;
  cuda::HcOpenBackwardArgs args;

  HcOpenBackwardRun(const HcCase& of, const Tensors& in)
      : c(of),
        cut(cuda::hc_open_backward_cut(c.tokens, c.width, c.n)),
        bases{random_tensor(f32s({c.columns()}), "db base"),
              random_tensor(f32s({c.n + 2, c.width}), "dtheta base"),
              random_tensor(f32s({3}), "dalpha base")},
        x(in[B::x]),
        dh(in[B::dh]),
        dlink(in[B::dlink]),
        dx(in[B::x].spec),
        theta(c.dynamic ? in[B::theta] : c.b()),
        alpha(c.dynamic ? in[B::alpha] : c.b()),
        b(in[B::b]),
        u(c.dynamic ? in[B::u] : c.b()),
        stream_rstd(c.dynamic ? in[B::rstd] : c.b()),
        dpost(in[B::dpost]),
        dres(in[B::dres]),
        db(bases[0]),
        dtheta(bases[1]),
        dalpha(bases[2]),
        workspace(size_t(cut.workspace)),
        args{.x = x.data(),
             .dh = dh.data(),
             .dlink = dlink.data(),
             .b = b.data(),
             .dpost = dpost.data(),
             .dres = dres.data(),
             .db_base = c.base ? db.data() : nullptr,
             .dx = dx.data(),
             .db = db.data(),
             .workspace = workspace.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n} {
    if (!c.dynamic) return;
    args.theta = theta.data(), args.alpha = alpha.data(), args.u = u.data();
    args.stream_rstd = stream_rstd.data();
    args.dtheta = dtheta.data(), args.dalpha = dalpha.data();
    if (c.base) args.dtheta_base = dtheta.data(), args.dalpha_base = dalpha.data();
  }
  // Results in the order of HcOpenBackward::Out.
  Tensors results() const {
    Tensors all = {dx.tensor(), db.tensor()};
    if (!c.dynamic) return all;
    all.push_back(dtheta.tensor());
    all.push_back(dalpha.tensor());
    return all;
  }
};

void check_case(const HcCase& c, void (*in_schedules)(const std::function<void()>&)) {
  SCOPED_TRACE(c.name());
  // Bounds in norm. dx: roundings to bf16, uniform over ± half an ulp; dtheta: the error of dz as
  // two bf16; sums: some roundings of f32.
  const double norms[] = {kStored / std::sqrt(3), 0x1p-20, 0x1p-16, 0x1p-20};
  const Tensors in = inputs_of(c);
  const std::vector<Bounded> want = oracle(c, in);
  std::optional<Tensors> first;
  in_schedules([&] {
    const HcOpenBackwardRun run(c, in);
    cuda::hc_open_backward(run.args, nullptr);
    const Tensors got = run.results();
    for (size_t k = 0; k < got.size(); ++k) {
      expect_within(got[k], want[k], kNames[k], norms[k],
                    c.base && k > 0 ? &run.bases[k - 1] : nullptr);
      EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << kNames[k] << ": other bits";
    }
    if (!first) first = got;
  });
}

TEST(CudaHcOpenBackward, IsTheReference) {
  for (const HcCase& c : {HcCase{.tokens = 1, .width = 8, .n = 1},
                          {.tokens = 37, .width = 72, .n = 1, .base = true},
                          {.tokens = 19, .width = 64, .n = 2},
                          {.tokens = 70, .width = 72},  // two splits; partial tiles and slabs
                          {.tokens = 17, .width = 24, .eps = 1e-2, .base = true},
                          {.tokens = 18, .width = 40, .n = 8},
                          {.tokens = 18, .width = 40, .dynamic = false, .base = true},
                          {.tokens = 3, .width = 8, .n = 8, .dynamic = false}})
    check_case(c, in_every_schedule);
}

TEST(CudaHcOpenBackward, OfTheModels) {
  for (const int64_t width : {1280, 1920, 2560})
    check_case({.tokens = 2, .width = width}, in_one_schedule);
}

// The table of docs/kernels.md with theta for phi. `again` counts what further blocks request.
void check_traffic(const HcCase& c) {
  SCOPED_TRACE(c.name());
  const HcOpenBackwardRun run(c, inputs_of(c));
  reset_traffic();
  cuda::hc_open_backward(run.args, nullptr);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic got = traffic();
  const auto t = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width),
             k = uint64_t(c.columns()), row = uint64_t(run.cut.row),
             blocks = uint64_t(run.cut.blocks), dynamic = uint64_t(c.dynamic),
             base = uint64_t(c.base);
  const uint64_t theta = dynamic * 4 * (n + 2) * width, sums = blocks * 2 * k * 4,
                 partial = run.cut.splits * theta, scalars = 4 * (dynamic * 3 + k);
  uint64_t read = 0, written = 0;
  read += t * (2 * (n + 1) * width + 4 * (dynamic * (k + n) + n + n * n)) + scalars;  // (b)
  written += t * 4 * row + sums;
  read += sums + base * scalars;
  written += scalars;
  read += t * (2 * (2 * n + 1) * width + 4 * row) + theta;  // (c)
  written += t * 2 * n * width + partial;
  read += partial + base * theta;
  written += theta;
  const uint64_t again =
      (blocks - 1) * scalars + (run.cut.splits - 1) * theta + (run.cut.slabs - 1) * t * 4 * row;
  EXPECT_EQ(got.read, read);
  EXPECT_EQ(got.written, written);
  EXPECT_EQ(got.written_requested, written);
  EXPECT_EQ(got.read_requested, read + again);
  // (b) transposes a token's dz as it writes them, an n-way bank conflict. There are no others.
  EXPECT_LE(double(got.wavefronts), 1.1 * double(got.fewest_wavefronts));
  if (c.n == 4 && c.width % run.cut.slab == 0) {
    EXPECT_EQ(got.sectors, got.fewest_sectors);
  }
}

TEST(CudaHcOpenBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const HcCase& c : {HcCase{.tokens = 70, .width = 136},
                          {.tokens = 16, .width = 64, .base = true},
                          {.tokens = 16, .width = 64, .dynamic = false},
                          {.tokens = 17, .width = 72, .n = 2},
                          {.tokens = 18, .width = 64, .n = 8}})
    in_every_schedule([&] { check_traffic(c); });
}

TEST(CudaHcOpenBackward, WithoutTokensIsItsBase) {
  in_every_schedule([] {
    const HcCase one{.tokens = 1, .width = 8};
    HcCase none{.tokens = 0, .width = 8, .base = true};
    const HcOpenBackwardRun run(none, inputs_of(one));
    cuda::hc_open_backward(run.args, nullptr);
    const Tensors got = run.results();
    for (size_t k = 0; k < run.bases.size(); ++k)
      EXPECT_EQ(got[k + 1].bytes, run.bases[k].bytes) << kNames[k + 1];
  });
}

TEST(CudaHcOpenBackward, Refuses) {
  in_every_schedule([] {
    const HcCase c{.tokens = 1, .width = 8};
    const HcOpenBackwardRun run(c, inputs_of(c));
    const auto refused = [&](auto change) {
      auto args = run.args;
      change(args);
      EXPECT_THROW(cuda::hc_open_backward(args, nullptr), InternalError);
    };
    refused([](auto& a) { a.n = 3; });
    refused([](auto& a) { a.width = 12; });
    refused([](auto& a) { ++a.dlink; });
    refused([](auto& a) { a.dtheta = nullptr; });
    refused([](auto& a) { a.alpha = nullptr; });
  });
}

}  // namespace
}  // namespace birkhoff::testing
